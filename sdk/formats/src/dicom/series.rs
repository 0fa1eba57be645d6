//! DICOM series: the files of a scan, found among others and read as one volume.
//!
//! Files belong to one volume when they state the same series, size and directions. Localisers and reformats, which
//! differ, become volumes of their own, and so does a file of several frames. Files are read one after another, so that
//! only the volume is held in memory. `series_grouping` groups files, and `stack` orders planes.

use std::collections::BTreeMap;
use std::ops::Range;

use dicom_dictionary_std::tags;
use medcoss_sdk::volume::Volume;
use medcoss_sdk::{Account, Error, Fingerprint, FoundFile};

use super::attributes::text;
use super::decode::stored_samples;
use super::frames::Frames;
use super::image_plane::Plane;
use super::modality_lut::ModalityLut;
use super::object::Object;
use super::pixels::Pixels;
use super::series_grouping::{Group, Key, add, name, tell_apart};
use super::stack::{Numbered, Stack};
use crate::orientation::{Orientation, place, replace_not_finite};

/// Largest volume in voxels: 4 GiB as `f32`.
pub const MAX_VOXELS: usize = 1 << 30;

/// Largest number of planes in a file.
const MAX_PLANES: usize = 1 << 16;

/// A scan of one or more files.
#[derive(Debug, Clone)]
pub struct Series {
    id: String,
    /// All files, including those that are not used because another file has their position.
    files: Vec<FoundFile>,
    stack: Result<Stack, Error>,
}

/// Size, spacing and notes of a series, without its pixels.
#[derive(Debug, Clone, PartialEq)]
pub struct SeriesInfo {
    /// `[depth, rows, columns]`.
    pub size: [usize; 3],
    /// Distance between neighbouring voxels in the same order, in millimetres.
    pub spacing_mm: [f32; 3],
    /// Notes for the user, each the end of a sentence that begins with the series' name.
    pub notes: Vec<&'static str>,
}

impl Series {
    /// Finds the series among files, from all headers. Left out are files of another modality than `modality` (`CT`,
    /// `MR`; files that state none, or `OT`, stay) and files in colour, such as screenshots. Files that the user
    /// `named` stay. A file that cannot be read becomes a series that cannot be read.
    pub fn find(
        files: Vec<FoundFile>,
        modality: Option<&str>,
        named: impl Fn(&FoundFile) -> bool,
        account: &mut Account,
    ) -> Vec<Self> {
        let mut groups: BTreeMap<Key, Vec<Group>> = BTreeMap::new();
        let mut found = Vec::new();
        for file in files {
            match contents(&file, modality, named(&file)) {
                Ok(Contents::Planes(series, planes)) => {
                    let several = planes.len() > 1;
                    for plane in planes {
                        let key = Key::of(&series, &plane, &file, several);
                        add(groups.entry(key).or_default(), &file, plane);
                    }
                }
                Ok(Contents::LeftOut(reason)) => account.leave_out(file.id, reason),
                Err(error) => found.push(Self { id: file.id.clone(), files: vec![file], stack: Err(error) }),
            }
        }
        for (key, groups) in groups {
            for Group { files, planes } in groups {
                let id = name(&key.series, &files);
                let stack = stacked(&id, planes);
                found.push(Self { id, files, stack });
            }
        }
        found.sort_by(|a, b| (&a.id, &a.files[0].id).cmp(&(&b.id, &b.files[0].id)));
        tell_apart(found.iter_mut().map(|series| &mut series.id));
        found
    }

    /// Id of the series: the file's id, or the folder of several files and the end of the Series Instance UID.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// All files, including those that are not used because another file has their position.
    pub fn files(&self) -> &[FoundFile] {
        &self.files
    }

    /// Index of the entry of the data that its first file was found in.
    pub fn entry(&self) -> u32 {
        self.files[0].entry
    }

    /// Adds the identity of the files to a fingerprint.
    pub fn add_to(&self, fingerprint: &mut Fingerprint) {
        for file in &self.files {
            fingerprint.add_file(file);
        }
    }

    /// Checks that the files have not changed since they were found.
    ///
    /// # Errors
    /// A file that is gone, or that was written since.
    pub fn check_unchanged(&self) -> Result<(), Error> {
        self.files.iter().try_for_each(FoundFile::check_unchanged)
    }

    /// Size, spacing and notes of the series, from headers alone.
    ///
    /// # Errors
    /// A file that could not be read.
    pub fn info(&self) -> Result<SeriesInfo, Error> {
        let stack = self.stack.as_ref().map_err(Clone::clone)?;
        let size = stack.orientation.size(stack.file_size);
        Ok(SeriesInfo { size, spacing_mm: stack.spacing_mm, notes: stack.notes.clone() })
    }

    /// Reads the volume, in the units of the modality: Hounsfield units for CT. Also returns how many voxels were
    /// infinite or NaN; they became 0.
    ///
    /// # Errors
    /// Those of [`Series::info`], damaged pixels, files that have changed.
    pub fn read(&self) -> Result<(Volume, usize), Error> {
        let [depth, ..] = self.info()?.size;
        self.read_slab(0..depth)
    }

    /// Reads some slices of the volume, as [`Series::read`] does. Where slices are the planes of the files, only these
    /// files are read.
    ///
    /// # Errors
    /// Those of [`Series::read`], an empty range, slices that the volume does not have.
    pub fn read_slab(&self, slices: Range<usize>) -> Result<(Volume, usize), Error> {
        let stack = self.stack.as_ref().map_err(Clone::clone)?;
        let [columns, rows, _] = stack.file_size;
        let [depth, high, wide] = stack.orientation.size(stack.file_size);
        if slices.is_empty() || slices.end > depth {
            return Err(Error::bad_request(format!("{} has {depth} slices; {slices:?} are not among them", self.id)));
        }
        let n_voxels = slices.len() * high * wide;
        let mut voxels = Vec::new();
        voxels.try_reserve_exact(n_voxels).map_err(|error| {
            Error::unsupported(format!("{} needs {} MiB of memory", self.id, n_voxels >> 18)).caused_by(&error)
        })?;
        voxels.resize(n_voxels, 0.0_f32);

        let (first, [along_i, along_j, along_k]) = stack.orientation.strides(stack.file_size);
        // Positions in the whole volume; the slab is a contiguous part of it.
        let slab = slices.start * high * wide..slices.end * high * wide;
        let mut opened: Option<(usize, Opened)> = None;
        for (k, &(file, frame)) in stack.planes.iter().enumerate() {
            let corner = first.wrapping_add_signed(k as isize * along_k);
            if !self.needs_whole_file() && !slab.contains(&corner) {
                continue;
            }
            let mut current = match opened.take() {
                Some((number, current)) if number == file => current,
                _ => Opened::open(&self.files[file])?,
            };
            let values = current.plane(&self.files[file], [rows, columns], frame)?;
            for (j, row) in values.chunks_exact(columns).enumerate() {
                let start = corner.wrapping_add_signed(j as isize * along_j);
                if !self.needs_whole_file() {
                    place(&mut voxels, start - slab.start, along_i, row.iter().copied());
                    continue;
                }
                for (i, &value) in row.iter().enumerate() {
                    let at = start.wrapping_add_signed(i as isize * along_i);
                    if slab.contains(&at) {
                        voxels[at - slab.start] = value;
                    }
                }
            }
            opened = Some((file, current));
        }
        let n_replaced = replace_not_finite(&mut voxels);
        let volume = Volume::new([slices.len(), high, wide], stack.spacing_mm, voxels)?;
        Ok((volume, n_replaced))
    }

    /// The series in stored order, whatever the directions: planes become depth, the columns of an image become rows,
    /// and its rows columns, as in a NIfTI file that is read in stored order.
    pub(crate) fn in_stored_order(&self) -> Self {
        let mut stored = self.clone();
        if let Ok(stack) = &mut stored.stack {
            let spacing = stack.spacing_mm.map(f64::from);
            stack.orientation = Orientation { spacing, ..stack.orientation }.in_stored_order();
            stack.spacing_mm = stack.orientation.spacing.map(|mm| mm as f32);
        }
        stored
    }

    /// Whether some slices cost as much as all of them, because slices are not the planes of the files.
    pub fn needs_whole_file(&self) -> bool {
        self.stack.as_ref().is_ok_and(|stack| stack.orientation.axis[0] != 2)
    }
}

/// Contents of a file in a folder.
enum Contents {
    /// Planes, and the UID of their series.
    Planes(String, Vec<Plane>),
    /// Left out, with the reason.
    LeftOut(String),
}

fn contents(file: &FoundFile, modality: Option<&str>, is_named: bool) -> Result<Contents, Error> {
    let object = Object::open_image(&file.path)?;
    let found = text(&object.header, tags::MODALITY).unwrap_or_default();
    let is_wanted = modality.is_none_or(|wanted| ["", "OT", wanted].contains(&found.as_str()));
    if !is_wanted && !is_named {
        return Ok(Contents::LeftOut(format!("DICOM of modality {found}")));
    }
    let path = file.path.display();
    if is_mosaic(&object) {
        return Err(Error::unsupported(format!(
            "{path} has the slices of a volume side by side in one image (a mosaic), which are not taken apart\nhint: \
             convert the series to NIfTI, with dcm2niix"
        )));
    }
    let pixels = Pixels::of(&object)?;
    if pixels.n_frames > MAX_PLANES {
        let n = pixels.n_frames;
        return Err(Error::unsupported(format!("{path} states {n} frames; volumes have at most {MAX_PLANES} slices")));
    }
    if pixels.is_grey() {
        let series = text(&object.header, tags::SERIES_INSTANCE_UID).unwrap_or_default();
        return Ok(Contents::Planes(series, Plane::all(&object, &pixels)));
    }
    if is_named {
        return Err(Error::unsupported(format!("{path} is an image in colour; a scan is grey")));
    }
    Ok(Contents::LeftOut(String::from("DICOM in colour")))
}

fn is_mosaic(object: &Object) -> bool {
    let kinds = object.header.get(tags::IMAGE_TYPE).and_then(|element| element.to_multi_str().ok());
    kinds.is_some_and(|kinds| kinds.iter().any(|kind| kind.trim() == "MOSAIC"))
}

/// A file whose planes are being read.
struct Opened {
    object: Object,
    pixels: Pixels,
    frames: Frames,
}

impl Opened {
    fn open(file: &FoundFile) -> Result<Self, Error> {
        let mut object = Object::open_image(&file.path)?;
        let pixels = Pixels::of(&object)?;
        let frames = Frames::find(&mut object, &pixels)?;
        Ok(Self { object, pixels, frames })
    }

    fn plane(&mut self, file: &FoundFile, size: [usize; 2], frame: usize) -> Result<Vec<f32>, Error> {
        let Self { object, pixels, frames } = self;
        if [pixels.rows, pixels.columns] != size || pixels.n_samples != 1 || frame >= pixels.n_frames {
            return Err(Error::corrupt(format!("{} has changed since the data were opened", file.id)));
        }
        let samples = stored_samples(object, pixels, frames, frame)?;
        Ok(ModalityLut::of(object, frame)?.values(samples, pixels))
    }
}

fn stacked(id: &str, planes: Vec<Numbered>) -> Result<Stack, Error> {
    let stack =
        Stack::of(planes).ok_or_else(|| Error::corrupt(format!("{id} states directions that span no volume")))?;
    let [columns, rows, n] = stack.file_size;
    if columns.saturating_mul(rows).saturating_mul(n) > MAX_VOXELS {
        return Err(Error::unsupported(format!(
            "{id} has {columns}x{rows}x{n} voxels; at most {MAX_VOXELS} are read at once"
        )));
    }
    Ok(stack)
}
