"""The clustering of `medcoss bench kmeans --points-file` with scikit-learn and faiss.

    pip install numpy scikit-learn faiss-cpu
    python tests/compare/kmeans.py points.f32 --points 20000 --dims 768 --clusters 200 --make

Prints the seconds of a whole run and of a step, and the inertia per point. --make writes the file first: overlapping Gaussian blobs.
"""

import argparse
import json
import os
import statistics
import time

import numpy as np


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("file")
    arguments.add_argument("--points", type=int, default=20000)
    arguments.add_argument("--dims", type=int, default=768)
    arguments.add_argument("--clusters", type=int, default=200)
    arguments.add_argument("--iterations", type=int, default=10, help="steps of faiss")
    arguments.add_argument("--runs", type=int, default=5)
    arguments.add_argument("--threads", type=int, default=2)
    arguments.add_argument("--make", action="store_true")
    given = arguments.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(given.threads)
    # The OpenBLAS in faiss's wheels does not recognise every new CPU, and then uses kernels of 2004 at a fifth of the speed.
    if os.path.exists("/proc/cpuinfo") and "avx512f" in open("/proc/cpuinfo").read():
        os.environ.setdefault("OPENBLAS_CORETYPE", "SKYLAKEX")
    import faiss
    from sklearn.cluster import KMeans

    n, width, k = given.points, given.dims, given.clusters
    if given.make:
        draw = np.random.default_rng(0)
        places = 0.5 * draw.standard_normal((k, width), dtype=np.float32)
        (places[np.arange(n) % k] + draw.standard_normal((n, width), dtype=np.float32)).tofile(given.file)
    points = np.fromfile(given.file, dtype=np.float32).reshape(n, width)

    def timed(run):
        run(0)
        results = []
        for seed in range(given.runs):
            began = time.perf_counter()
            inertia, iterations = run(seed)
            results.append((time.perf_counter() - began, inertia / n, iterations))
        return {
            "median_seconds": statistics.median(seconds for seconds, *_ in results),
            "inertia_per_point": statistics.median(inertia for _, inertia, _ in results),
            "iterations": statistics.median(iterations for *_, iterations in results),
        }

    def scikit_learn(seed):
        found = KMeans(k, n_init=1, random_state=seed).fit(points)
        return found.inertia_, found.n_iter_

    def with_faiss(seed):
        found = faiss.Kmeans(width, k, niter=given.iterations, seed=seed, max_points_per_centroid=n)
        found.train(points)
        return found.obj[-1], given.iterations

    result = {"scikit-learn": timed(scikit_learn), "faiss": timed(with_faiss)}
    for of in result.values():
        of["iteration_seconds"] = of["median_seconds"] / max(of["iterations"], 1)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
