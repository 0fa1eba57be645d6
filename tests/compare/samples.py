"""Writes the files that load.py reads: from real images and scans where their folder is given, otherwise from patterns.

    python tests/compare/samples.py /tmp/load [--data ../shared/data]

Needs Pillow, nibabel, pydicom and numpy.
"""

import argparse
from pathlib import Path

import nibabel
import numpy as np
import pydicom
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

N_FILES = 64
SIDE = 512
N_SLICES = 64


def pattern(shape, rng):
    """A smooth array in [0, 1] with a little noise: neither flat nor random, so that it compresses like images."""
    axes = np.meshgrid(*(np.linspace(0, 1, n) for n in shape), indexing="ij")
    waves = sum(np.sin(rng.uniform(2, 25) * axis + rng.uniform(0, 6)) for axis in axes for _ in range(3))
    waves = (waves - waves.min()) / (waves.max() - waves.min())
    return np.clip(waves + rng.normal(0, 0.02, shape), 0, 1)


def images(folder, found, rng):
    """Writes JPEG files of 512x512, quality 90 and three channels, with 4:2:0 subsampling, as cameras and most tools write them."""
    folder.mkdir(parents=True)
    for index in range(N_FILES):
        if found:
            image = Image.open(found[index % len(found)]).convert("RGB").resize((SIDE, SIDE), Image.BICUBIC)
        else:
            channels = [pattern((SIDE, SIDE), rng) for _ in range(3)]
            image = Image.fromarray((np.stack(channels, -1) * 255).astype(np.uint8))
        image.save(folder / f"image_{index:03}.jpg", quality=90)


def small_scans(folder, found, rng):
    """Writes gzipped NIfTI volumes of about 35x50x35 voxels with a spacing of 1 mm."""
    folder.mkdir(parents=True)
    for index in range(N_FILES):
        target = folder / f"scan_{index:03}.nii.gz"
        if found:
            target.write_bytes(found[index % len(found)].read_bytes())
        else:
            voxels = (1000 * pattern((35, 51, 37), rng)).astype(np.float32)
            nibabel.save(nibabel.Nifti1Image(voxels, np.diag([1.0, 1.0, 1.0, 1.0])), target)


def large_scan(folder, found, rng):
    """Writes a NIfTI volume of 256x256x269 Hounsfield units, with and without gzip. Returns its voxels."""
    for name in ("gzipped", "plain"):
        (folder / name).mkdir(parents=True)
    if found:
        scan = nibabel.load(found)
        voxels, affine = np.asanyarray(scan.dataobj).astype(np.int16), scan.affine
    else:
        voxels = (3000 * pattern((256, 256, 269), rng) - 1000).astype(np.int16)
        affine = np.diag([-2.0, -2.0, 3.0, 1.0])
    image = nibabel.Nifti1Image(voxels, affine)
    nibabel.save(image, folder / "gzipped/scan.nii.gz")
    nibabel.save(image, folder / "plain/scan.nii")
    return voxels


def series(folder, voxels):
    """Writes a CT series of 64 slices of 512x512 pixels, 16 bit, uncompressed."""
    folder.mkdir(parents=True)
    ids = {"SeriesInstanceUID": generate_uid(), "StudyInstanceUID": generate_uid(), "FrameOfReferenceUID": generate_uid()}
    for index in range(N_SLICES):
        slice_ = voxels[:, :, index * voxels.shape[2] // N_SLICES].T
        pixels = np.asarray(Image.fromarray(slice_.astype(np.int32)).resize((SIDE, SIDE), Image.BILINEAR))
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = CTImageStorage
        meta.MediaStorageSOPInstanceUID = generate_uid()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        path = folder / f"slice_{index:03}.dcm"
        file = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
        file.SOPClassUID, file.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        for name, uid in ids.items():
            setattr(file, name, uid)
        file.Modality, file.PatientID, file.PatientName = "CT", "1", "None^Known"
        file.InstanceNumber = index + 1
        file.Rows, file.Columns = SIDE, SIDE
        file.SamplesPerPixel, file.PhotometricInterpretation = 1, "MONOCHROME2"
        file.BitsAllocated, file.BitsStored, file.HighBit, file.PixelRepresentation = 16, 16, 15, 0
        file.RescaleIntercept, file.RescaleSlope = -1024, 1
        file.PixelSpacing, file.SliceThickness = [0.8, 0.8], 3
        file.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        file.ImagePositionPatient = [0, 0, 3 * index]
        file.PixelData = (pixels + 1024).clip(0, 65535).astype(np.uint16).tobytes()
        pydicom.dcmwrite(path, file, enforce_file_format=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where to write; must not exist")
    parser.add_argument("--data", type=Path, help="folder with xray/pneumonia/img, mri/hippocampus/images and ct/torso/torso.nii.gz")
    asked = parser.parse_args()
    found = {"images": [], "scans": [], "torso": None}
    if asked.data:
        found["images"] = sorted((asked.data / "xray/pneumonia/img").glob("*.jpeg"))
        found["scans"] = sorted((asked.data / "mri/hippocampus/images").glob("*.nii.gz"))
        found["torso"] = asked.data / "ct/torso/torso.nii.gz"
    rng = np.random.default_rng(0)
    images(asked.folder / "jpeg", found["images"], rng)
    small_scans(asked.folder / "nifti", found["scans"], rng)
    voxels = large_scan(asked.folder / "volume", found["torso"], rng)
    series(asked.folder / "dicom", voxels)


if __name__ == "__main__":
    main()
