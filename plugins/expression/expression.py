"""Gene expression: tables of counts or of normalised values, a sample a row or a column, a token a gene.

What such files look like: matrices of GEO and of recount (genes in rows), GCT files of GTEx, tables of featureCounts with columns that describe the
gene, tables with a sample in each row; plain or compressed with gzip. The most variable genes of the first data are the tokens; the run keeps
their names, means and deviations, so that every later table is read on the same scale, and a gene that a table lacks is a token that does not exist.
"""

import csv
import dataclasses
import gzip
import hashlib
import re
from pathlib import Path

import numpy as np

from medcoss_plugin import Account, BadOption, Modality, Skip, axis, find_files, grid, n_masked, option, png, random_mask
from medcoss_plugin import fingerprint as fingerprint_of_files

SUFFIXES = (".gct", ".tsv", ".csv", ".txt", ".gct.gz", ".tsv.gz", ".csv.gz", ".txt.gz")
#: Columns of common tools that describe the gene and hold no sample, in lower case.
DESCRIBING = {"description", "gene_name", "gene_symbol", "symbol", "gene_biotype", "chr", "start", "end", "strand", "length"}
#: An identifier of Ensembl with its version, which differs between releases for the same gene.
VERSIONED = re.compile(r"^(ENS[A-Z]*\d+)\.\d+(_PAR_Y)?$")
MISSING = {"", "na", "nan", "null"}
ASSET = "genes.tsv"


@dataclasses.dataclass
class Options:
    n_genes: int = option(256, "Genes that are tokens: the most variable ones of the data.", least=4, most=4096)
    samples: str = option("columns", "Whether samples are the columns of a table, and genes its rows, or the reverse.", choices=["columns", "rows"])
    values: str = option("counts", "Kind of values: counts become log2(1 + counts per million), linear ones (TPM, FPKM) log2(1 + value), "
                         "logarithms stay.", choices=["counts", "linear", "log"])
    mask_ratio: float = option(0.5, "Fraction of genes that is masked in training.", above=0, below=1)
    min_detected: int = option(8, "Genes above zero below which a sample is passed over, as a failed library.", least=0)
    noise: float = option(0.0, "Deviation of the noise that is added in training, in deviations of the gene.", least=0, most=1)
    donor: str = option("", "Regular expression with one group that finds the donor in the name of a sample; samples of a donor are never "
                        "separated by a split (GTEx: ^(GTEX-[^-]+)).")


class Table:
    """A table, read line by line: names of the genes and samples, and the values of one or the other in each line."""

    def __init__(self, file, options):
        self.path, self.by_gene = file.path, options.samples == "columns"

    def lines(self):
        """Yields (name, cells) for each line after the header; sets `columns` first. Raises ValueError where the table is malformed."""
        name = self.path.name.lower()
        opened = gzip.open if name.endswith(".gz") else open
        is_gct = ".gct" in name
        with opened(self.path, "rt", encoding="utf-8", errors="replace", newline="") as text:
            skipped = 0
            first = text.readline(1 << 24)
            while first.startswith("#"):
                first, skipped = text.readline(1 << 24), skipped + 1
            if is_gct and skipped:
                # The numbers of rows and columns.
                first, skipped = text.readline(1 << 24), skipped + 1
            delimiter = "\t" if first.count("\t") >= first.count(",") else ","
            header = next(csv.reader([first], delimiter=delimiter), [])
            keep = [at for at, one in enumerate(header) if at and not (self.by_gene and one.strip().lower() in DESCRIBING)]
            self.columns = [header[at].strip() for at in keep]
            if not keep:
                raise ValueError(f"the header has {len(header)} columns; a name and at least one column of values were expected")
            if len(set(self.columns)) < len(keep):
                twice = next(one for one in self.columns if self.columns.count(one) > 1)
                raise ValueError(f"two columns are called {twice!r}")
            for number, row in enumerate(csv.reader(text, delimiter=delimiter), skipped + 2):
                if not row:
                    continue
                if len(row) != len(header):
                    raise ValueError(f"line {number} has {len(row)} columns; the header has {len(header)}")
                yield row[0].strip(), [row[at] for at in keep]


def number(text):
    """A cell: a number, NaN where it is missing, infinity where it is anything else (the sample is then damaged)."""
    text = text.strip()
    if text.lower() in MISSING:
        return np.nan
    try:
        value = float(text)
    except ValueError:
        return np.inf
    return value if np.isfinite(value) else np.inf


def gene_name(text):
    found = VERSIONED.match(text)
    return (found.group(1) + (found.group(2) or "")) if found else text


def transform(values, total, kind):
    """Values on a logarithmic scale; infinity where a value is damaged or negative though it is no logarithm."""
    if kind == "log":
        return values
    bad = values < 0
    scale = 1e6 / np.where(total > 0, total, 1) if kind == "counts" else 1.0
    with np.errstate(invalid="ignore", over="ignore"):
        return np.where(bad, np.inf, np.log2(1 + np.maximum(values, 0) * scale))


class Expression(Modality):
    id = "expression"
    version = "0.1.0"
    summary = "gene expression, a token a gene"
    family = "expression"
    reads = ["tables of gene expression (.gct, .tsv, .csv, .txt, also .gz)"]
    Options = Options
    renders = "png"

    @staticmethod
    def geometry(options):
        return shape(options, options.n_genes)

    def data_geometry(self):
        return shape(self.options, len(self.genes), self.genes)

    def open(self):
        try:
            self.donor = re.compile(self.options.donor) if self.options.donor else None
        except re.error as error:
            raise BadOption(f"donor is no regular expression: {error}") from None
        if self.donor and self.donor.groups != 1:
            raise BadOption(f"donor has {self.donor.groups} groups; one was expected, around what names the donor")
        self.files_account = Account()
        self.files = find_files(self.base, self.data, SUFFIXES, self.files_account)
        # Samples as (file, name, totals index) or (file, None, reason) for a file that cannot be read.
        self.samples, self.totals, self.detected = [], [], []
        sums = {}
        for at, file in enumerate(self.files):
            self.progress(at, 2 * len(self.files), "tables surveyed")
            try:
                names, totals, detected, of_genes = self.totals_of(file, sums)
            except (ValueError, EOFError, OSError, csv.Error) as error:
                self.samples.append((at, None, f"{type(error).__name__}: {error}"))
                continue
            self.samples += [(at, name, place) for place, name in enumerate(names, len(self.totals))]
            self.totals += totals
            self.detected += detected
            sums = of_genes
        self.choose(sums)
        self.values = np.full((len(self.totals), len(self.genes)), np.nan, np.float32)
        place = {gene: at for at, gene in enumerate(self.genes)}
        for at, file in enumerate(self.files):
            self.progress(len(self.files) + at, 2 * len(self.files), "tables read")
            rows = [row for of, name, row in self.samples if of == at and name is not None]
            if rows:
                self.read(file, rows, place)

    def totals_of(self, file, before):
        """Names of the samples, their sums and numbers of genes above zero, and for each gene [n, sum, sum of squares] on the scale of tokens."""
        table, kind = Table(file, self.options), self.options.values
        sums = {gene: list(of) for gene, of in before.items()}
        if not table.by_gene:
            names, totals, detected = [], [], []
            for name, cells in table.lines():
                values = np.array([number(cell) for cell in cells])
                total = float(np.nansum(np.where(np.isinf(values), 0, values)))
                names.append(name)
                totals.append(total)
                detected.append(int(np.sum(values > 0)))
                scaled = transform(values, total, kind)
                for gene, value in zip(map(gene_name, table.columns), scaled):
                    if np.isfinite(value):
                        add(sums, gene, value)
            return names, totals, detected, sums
        seen, totals, detected, n_twice = set(), None, None, 0
        counted = set()
        for name, cells in table.lines():
            if gene_name(name) in counted:
                continue
            counted.add(gene_name(name))
            values = np.array([number(cell) for cell in cells])
            known = np.where(np.isfinite(values), values, 0)
            totals = known if totals is None else totals + known
            detected = (known > 0).astype(int) if detected is None else detected + (known > 0)
        for name, cells in table.lines():
            gene = gene_name(name)
            if gene in seen:
                n_twice += 1
                continue
            seen.add(gene)
            scaled = transform(np.array([number(cell) for cell in cells]), totals, kind)
            scaled = scaled[np.isfinite(scaled)]
            of = sums.setdefault(gene, [0, 0.0, 0.0])
            of[0] += len(scaled)
            of[1] += float(scaled.sum())
            of[2] += float(np.square(scaled).sum())
        if totals is None:
            raise ValueError("the table has a header and no line")
        if n_twice:
            print(f"{file.id}: {n_twice} lines repeat a gene; the first line of a gene counts")
        return table.columns, totals.tolist(), detected.tolist(), sums

    def choose(self, sums):
        """Genes, means and deviations: those of the run, or of the most variable genes of these data, in the order of their names."""
        if self.assets:
            lines = (self.assets / ASSET).read_text(encoding="utf-8").splitlines()
            rows = [line.split("\t") for line in lines]
            self.genes = [row[0] for row in rows]
            self.mean, self.deviation = (np.array([float(row[at]) for row in rows], np.float32) for at in (1, 2))
            return
        variance = {gene: max(squares / n - (total / n) ** 2, 0.0) for gene, (n, total, squares) in sums.items() if n > 1}
        if len(variance) < self.options.n_genes:
            raise BadOption(f"n_genes is {self.options.n_genes}, and the data have {len(variance)} genes with values of at least two samples")
        most = sorted(variance, key=lambda gene: (-variance[gene], gene))[: self.options.n_genes]
        self.genes = sorted(most)
        self.mean = np.array([sums[gene][1] / sums[gene][0] for gene in self.genes], np.float32)
        deviation = np.sqrt([variance[gene] for gene in self.genes]).astype(np.float32)
        self.deviation = np.where(deviation > 0, deviation, 1).astype(np.float32)

    def read(self, file, rows, place):
        """The values of the chosen genes, on the scale of tokens; infinity where a cell is damaged."""
        table, kind = Table(file, self.options), self.options.values
        totals, seen = np.array([self.totals[row] for row in rows]), set()
        columns = None
        for line, (name, cells) in enumerate(table.lines()):
            if table.by_gene:
                at = place.get(gene_name(name))
                if at is not None and at not in seen:
                    seen.add(at)
                    self.values[rows, at] = self.scaled(transform(np.array([number(cell) for cell in cells]), totals, kind), at)
                continue
            if columns is None:
                columns = [(at, place[gene]) for at, gene in enumerate(map(gene_name, table.columns)) if gene in place]
            values = transform(np.array([number(cell) for cell in cells]), totals[line], kind)
            for at, gene in columns:
                self.values[rows[line], gene] = self.scaled(values[at], gene)

    def scaled(self, values, gene):
        return ((values - self.mean[gene]) / self.deviation[gene]).astype(np.float32)

    def account(self):
        return self.files_account

    def __len__(self):
        return len(self.samples)

    def record(self, index):
        at, name, _ = self.samples[index]
        file = self.files[at]
        if name is None:
            return file.record()
        found = self.donor.search(name) if self.donor else None
        return file.record_of_part(name or f"sample {index}", **({"group": found.group(1)} if found else {}))

    def fingerprint(self):
        return hashlib.sha256((fingerprint_of_files(self.files) + "\0".join(self.genes)).encode()).hexdigest()

    def load(self, index, training, rng):
        _, name, row = self.samples[index]
        if name is None:
            raise ValueError(row)
        values = self.values[row]
        if np.isinf(values).any():
            gene = self.genes[int(np.argmax(np.isinf(values)))]
            raise ValueError(f"the value of gene {gene} is no number, or is negative")
        valid = ~np.isnan(values)
        tokens = np.where(valid, values, 0).astype(np.float32)
        if training and self.options.noise:
            tokens += np.where(valid, rng.normal(0, self.options.noise, len(tokens)), 0).astype(np.float32)
        sample = {"tokens": tokens[:, None], "valid": valid.astype(np.uint8)}
        if valid.sum() < 2:
            raise ValueError(f"the table has values for {valid.sum()} of the {len(tokens)} genes")
        if training:
            sample["mask"] = random_mask(rng, len(tokens), n_masked(len(tokens), self.options.mask_ratio), valid)
        if self.options.values != "log" and self.detected[row] < self.options.min_detected:
            raise Skip(f"{self.detected[row]} genes are above zero; fewer than min_detected = {self.options.min_detected}", sample)
        return sample

    def save_samples(self, indices, folder):
        """A table with a sample in each row, and all of its genes, of which the sums are made."""
        wanted = {self.samples[index][:2]: None for index in indices if self.samples[index][1] is not None}
        rows, genes = dict(wanted), []
        for at in sorted({at for at, _ in wanted}):
            table, cells_of = Table(self.files[at], self.options), {}
            for name, cells in table.lines():
                if table.by_gene:
                    for column, cell in zip(table.columns, cells):
                        if (at, column) in wanted:
                            cells_of.setdefault(column, []).append((name, cell))
                elif (at, name) in wanted:
                    cells_of[name] = list(zip(table.columns, cells))
            for name, cells in cells_of.items():
                rows[at, name] = dict(reversed(cells))
                genes += [gene for gene, _ in cells]
        genes = list(dict.fromkeys(genes))
        with open(Path(folder) / "samples.tsv", "w", encoding="utf-8", newline="") as text:
            writer = csv.writer(text, delimiter="\t", lineterminator="\n")
            writer.writerow(["sample", *genes])
            for place, index in enumerate(indices):
                cells = rows.get(self.samples[index][:2]) or {}
                writer.writerow([f"{place:06}", *(cells.get(gene, "") for gene in genes)])
        return ["samples.tsv"], {**dataclasses.asdict(self.options), "samples": "rows", "donor": ""}

    def save_assets(self, folder):
        lines = (f"{gene}\t{mean!r}\t{deviation!r}\n" for gene, mean, deviation in
                 zip(self.genes, self.mean.tolist(), self.deviation.tolist()))
        (folder / ASSET).write_text("".join(lines), encoding="utf-8")
        return [ASSET]

    def render(self, tokens, hidden):
        """A square of genes in the order of their names: blue below the gene's mean, red above, grey where hidden."""
        side, cell = int(np.ceil(np.sqrt(len(tokens)))), 8
        strength = np.clip(np.asarray(tokens).reshape(-1) / 2.5, -1, 1)
        colours = np.stack([1 + np.minimum(strength, 0), 1 - np.abs(strength), 1 - np.maximum(strength, 0)], -1)
        colours[np.asarray(hidden).reshape(-1).astype(bool)] = 0.6
        square = np.ones((side * side, 3))
        square[: len(colours)] = colours
        return png((255 * square.reshape(side, side, 3)).round().astype(np.uint8).repeat(cell, 0).repeat(cell, 1))

    @staticmethod
    def synthesise(folder, n_samples, seed):
        """Counts of 320 genes in a table of genes by samples: three programmes of genes, of which each sample has a share."""
        rng = np.random.default_rng(seed)
        n_genes, n_programmes = 320, 3
        base = rng.gamma(2.0, 40.0, n_genes)
        programmes = rng.normal(0, 0.9, (n_programmes, n_genes))
        shares = rng.normal(0, 1, (n_samples, n_programmes))
        depth = rng.uniform(0.5, 2.0, (n_samples, 1))
        counts = rng.poisson(depth * base * np.exp(shares @ programmes * 0.5))
        with open(Path(folder) / "counts.tsv", "w", encoding="utf-8") as text:
            text.write("\t".join(["gene_id", "gene_name", *(f"D{sample // 2:03}-{sample % 2}" for sample in range(n_samples))]) + "\n")
            for gene in range(n_genes):
                text.write("\t".join([f"ENSG{gene:011}.{1 + gene % 3}", f"GENE{gene}", *map(str, counts[:, gene])]) + "\n")
        return ["counts.tsv"], {"n_genes": 64, "donor": "^(D[0-9]+)-"}


def add(sums, gene, value):
    of = sums.setdefault(gene, [0, 0.0, 0.0])
    of[0] += 1
    of[1] += float(value)
    of[2] += float(value) ** 2


def shape(options, n_genes, genes=None):
    about = [axis("gene", places=genes)] if genes else []
    # A token is one number, which is standardised by its gene: by itself it has no deviation.
    return grid([n_genes], 1, n_masked(n_genes, options.mask_ratio), patch=[1], axes=about, validity=True, normalise=False)
