"""Layouts that tables of gene expression really have. Run where `medcoss_plugin.py` can be imported: `python3 -m unittest`."""

import gzip
import tempfile
import unittest
from pathlib import Path

import numpy as np

from expression import Expression
from medcoss_plugin import BadOption, Skip

GCT = "#1.2\n5\t3\nName\tDescription\tS1\tS2\tS3\n" + "".join(
    f"ENSG0000000000{gene}.7\tG{gene}\t{gene * 3}\t{20 - gene}\t{gene * gene}\n" for gene in range(1, 6))


class ExpressionTest(unittest.TestCase):
    def setUp(self):
        self.place = tempfile.TemporaryDirectory()
        self.folder = Path(self.place.name)

    def tearDown(self):
        self.place.cleanup()

    def opened(self, name, content, options=None, assets=None):
        opened = gzip.open if name.endswith(".gz") else open
        with opened(self.folder / name, "wt", encoding="utf-8") as file:
            file.write(content)
        return Expression.opened(self.folder, [name], {"n_genes": 4, "min_detected": 0, **(options or {})}, assets)

    def test_a_compressed_gct_file_is_log2_of_counts_per_million(self):
        dataset = self.opened("gtex.gct.gz", GCT)
        self.assertEqual([dataset.record(at)["id"] for at in range(3)], [f"gtex.gct.gz#S{at}" for at in (1, 2, 3)])
        # The versions of identifiers differ between releases.
        self.assertTrue(all("." not in gene for gene in dataset.genes))
        gene = int(dataset.genes[1][-1])
        columns = np.array([[gene * 3, 20 - gene, gene * gene], [45, 85, 55]], float)
        scaled = np.log2(1 + 1e6 * columns[0] / columns[1])
        expected = (scaled - scaled.mean()) / scaled.std()
        found = [dataset.sample(at, False, 0)["tokens"][1, 0] for at in range(3)]
        np.testing.assert_allclose(found, expected, rtol=1e-4)

    def test_columns_of_featurecounts_that_describe_the_gene_are_no_samples(self):
        lines = "".join(f"g{gene}\tchr1\t1\t9\t+\t8\t{gene}\t{9 - gene}\n" for gene in range(1, 6))
        dataset = self.opened("counts.txt", "# Program:featureCounts\nGeneid\tChr\tStart\tEnd\tStrand\tLength\ta.bam\tb.bam\n" + lines)
        self.assertEqual([dataset.record(at)["id"] for at in range(2)], ["counts.txt#a.bam", "counts.txt#b.bam"])

    def test_rows_and_columns_give_the_same_samples(self):
        by_column = self.opened("columns.csv", "gene,a,b\nw,1,4\nx,2,3\ny,7,1\nz,0,5\n")
        by_row = self.opened("rows.csv", "sample,w,x,y,z\na,1,2,7,0\nb,4,3,1,5\n", {"samples": "rows"})
        for at in range(2):
            np.testing.assert_array_equal(by_column.sample(at, True, 3)["tokens"], by_row.sample(at, True, 3)["tokens"])

    def test_genes_that_a_later_table_lacks_do_not_exist_and_the_scale_stays(self):
        first = self.opened("first.csv", "gene,a,b\nw,1,4\nx,2,3\ny,7,1\nz,0,5\n", {"values": "log"})
        assets = self.folder / "assets"
        assets.mkdir()
        first.save_assets(assets)
        later = self.opened("later.csv", "gene,c\nz,5\nx,2\ny,NA\nother,3\n", {"values": "log"}, assets)
        self.assertEqual(later.genes, ["w", "x", "y", "z"])
        sample = later.sample(0, False, 0)
        self.assertEqual(sample["valid"].tolist(), [0, 1, 0, 1])
        self.assertEqual(sample["tokens"][[1, 3], 0].tolist(), [-1.0, 1.0])

    def test_damage_concerns_what_is_damaged(self):
        dataset = self.opened("a.csv", "gene,a,b,c\nw,1,4,2\nx,2,broken,9\ny,7,1,3\nz,0,5,1\n")
        dataset.sample(0, True, 1)
        with self.assertRaisesRegex(ValueError, "gene x is no number"):
            dataset.sample(1, True, 1)
        (self.folder / "torn.csv").write_text("gene,a,b\nw,1\n")
        both = Expression.opened(self.folder, ["a.csv", "torn.csv"], {"n_genes": 4, "min_detected": 0})
        both.sample(0, True, 1)
        with self.assertRaisesRegex(ValueError, "line 2 has 2 columns; the header has 3"):
            both.sample(3, True, 1)

    def test_a_failed_library_is_passed_over_and_too_few_genes_are_refused(self):
        dataset = self.opened("a.csv", "gene,a,b\nw,1,4\nx,2,3\ny,7,1\nz,0,5\n", {"min_detected": 4})
        with self.assertRaisesRegex(Skip, "3 genes are above zero"):
            dataset.sample(0, True, 1)
        with self.assertRaisesRegex(BadOption, "the data have 4 genes"):
            self.opened("a.csv", "gene,a,b\nw,1,4\nx,2,3\ny,7,1\nz,0,5\n", {"n_genes": 5})

    def test_a_donor_is_a_group(self):
        dataset = self.opened("a.csv", "gene,D1-x,D1-y\nw,1,4\nx,2,3\ny,7,1\nz,0,5\n", {"donor": "^(D[0-9]+)"})
        self.assertEqual([dataset.record(at)["group"] for at in range(2)], ["D1", "D1"])
        with self.assertRaisesRegex(BadOption, "0 groups"):
            self.opened("a.csv", "gene,D1-x,D1-y\nw,1,4\nx,2,3\ny,7,1\nz,0,5\n", {"donor": "D"})


if __name__ == "__main__":
    unittest.main()
