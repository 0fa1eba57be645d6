//! The datasets of an HDF5 file, and the one that is the volume: that which is named, or the only one of three axes.

use std::path::Path;

use hdf5_pure::{Dataset, Datatype, DatatypeByteOrder, FixedPointLayout, FloatingPointLayout, FormatError, Group};
use medcoss_sdk::Error;

use crate::hdf5_choice::Hdf5Choice;
use crate::hdf5_errors::explained;
use crate::header_lines::start_of;
use crate::number_type::NumberType;

/// Most groups within one another, and most groups and datasets, that are looked at.
const MAX_DEPTH: usize = 8;
const MAX_GROUPS: usize = 1000;
const MAX_DATASETS: usize = 1000;
/// Largest number of datasets in a message.
const MAX_NAMES: usize = 8;

/// A dataset, and what its header states.
pub(crate) struct Array {
    pub(crate) name: String,
    pub(crate) dataset: Dataset,
    pub(crate) shape: Vec<u64>,
    /// Type of the numbers, and whether their highest byte is first; or the type, in words.
    pub(crate) number: Result<(NumberType, bool), String>,
}

impl Array {
    /// A dataset whose header cannot be understood is none that is read, and does not keep others from being read.
    fn of(name: String, dataset: Dataset) -> Self {
        let datatype = dataset.datatype().map_err(|_| "numbers of an unknown type".to_owned());
        let shape = dataset.shape().unwrap_or_default();
        Self { name, number: datatype.and_then(|datatype| number_type(&datatype)), dataset, shape }
    }

    pub(crate) fn is_volume(&self) -> bool {
        self.shape.len() == 3 && self.number.is_ok()
    }

    /// Name, sizes and type, for a message.
    pub(crate) fn shown(&self) -> String {
        let sizes = self.shape.iter().map(u64::to_string).collect::<Vec<_>>().join("x");
        let number = match &self.number {
            Ok((number, _)) => format!("{number:?}").to_lowercase(),
            Err(what) => what.clone(),
        };
        let sizes = if sizes.is_empty() { "one value".into() } else { sizes };
        format!("{:?} ({sizes}, {number})", start_of(&self.name))
    }
}

/// All datasets of a file, those of outer groups first.
pub(crate) fn datasets(path: &Path, file: &hdf5_pure::File) -> Result<Vec<Array>, Error> {
    let (mut found, mut groups_left) = (Vec::new(), MAX_GROUPS);
    add_datasets(path, &file.root(), "", 0, &mut groups_left, &mut found)?;
    found.sort_by_cached_key(|array| (array.name.matches('/').count(), array.name.clone()));
    Ok(found)
}

/// Groups may hold one another, so that their number has a limit.
fn add_datasets(
    path: &Path,
    group: &Group,
    above: &str,
    depth: usize,
    groups_left: &mut usize,
    found: &mut Vec<Array>,
) -> Result<(), Error> {
    let damaged = |error| explained(path, &error);
    for (name, dataset) in group.iter_datasets().map_err(damaged)? {
        if found.len() >= MAX_DATASETS {
            return Err(Error::unsupported(format!("{} has more than {MAX_DATASETS} datasets", path.display())));
        }
        found.push(Array::of(format!("{above}{name}"), dataset));
    }
    if depth == MAX_DEPTH {
        return Ok(());
    }
    for (name, group) in group.iter_groups().map_err(damaged)? {
        *groups_left = groups_left
            .checked_sub(1)
            .ok_or_else(|| Error::unsupported(format!("{} has more than {MAX_GROUPS} groups", path.display())))?;
        add_datasets(path, &group, &format!("{above}{name}/"), depth + 1, groups_left, found)?;
    }
    Ok(())
}

/// The dataset that is named, or the only one of three axes.
pub(crate) fn chosen(path: &Path, file: &hdf5_pure::File, choice: &Hdf5Choice) -> Result<Array, Error> {
    let shown = path.display();
    if let Some(name) = &choice.dataset {
        let array = match file.dataset(name) {
            Ok(dataset) => Array::of(name.clone(), dataset),
            Err(hdf5_pure::Error::Format(FormatError::PathNotFound(_)) | hdf5_pure::Error::NotADataset(_)) => {
                let all = names(&datasets(path, file)?);
                return Err(Error::bad_request(format!("{shown} has no dataset {name:?}; it has {all}")));
            }
            Err(error) => return Err(explained(path, &error)),
        };
        return match &array.number {
            Ok(_) if array.shape.len() == 3 => Ok(array),
            _ => Err(Error::unsupported(format!(
                "{shown} has the dataset {}; datasets of three axes of integers or floating point numbers are read",
                array.shown()
            ))),
        };
    }
    let (mut volumes, others): (Vec<Array>, Vec<Array>) = datasets(path, file)?.into_iter().partition(Array::is_volume);
    let n = volumes.len();
    if n == 1 {
        return Ok(volumes.remove(0));
    }
    if n == 0 {
        let all = names(&others);
        return Err(Error::unsupported(format!(
            "{shown} has no dataset of three axes of integers or floating point numbers; it has {all}"
        )));
    }
    let hint = match choice.option {
        Some(option) => format!("name one by the option {option}"),
        None => "write the one that is meant into a file of its own".into(),
    };
    let all = names(&volumes);
    Err(Error::bad_request(format!("{shown} has {n} datasets of three axes: {all}\nhint: {hint}")))
}

/// Some of the datasets, for a message.
fn names(arrays: &[Array]) -> String {
    let mut names: Vec<String> = arrays.iter().take(MAX_NAMES).map(Array::shown).collect();
    match arrays.len() {
        0 => return "none".into(),
        n if n > MAX_NAMES => names.push(format!("{} more", n - MAX_NAMES)),
        _ => {}
    }
    names.join(", ")
}

/// The type of numbers and whether their highest byte is first; in words where it is another.
fn number_type(datatype: &Datatype) -> Result<(NumberType, bool), String> {
    let big_endian = |order: &DatatypeByteOrder| match order {
        DatatypeByteOrder::LittleEndian => Ok(false),
        DatatypeByteOrder::BigEndian => Ok(true),
        DatatypeByteOrder::Vax => Err("VAX numbers".to_owned()),
    };
    match datatype {
        Datatype::FixedPoint { size, byte_order, layout } => {
            let FixedPointLayout { signed, bit_offset, bit_precision } = *layout;
            let number = match (size, signed) {
                (1, false) => NumberType::U8,
                (1, true) => NumberType::I8,
                (2, false) => NumberType::U16,
                (2, true) => NumberType::I16,
                (4, false) => NumberType::U32,
                (4, true) => NumberType::I32,
                (8, false) => NumberType::U64,
                (8, true) => NumberType::I64,
                _ => return Err(format!("integers of {size} bytes")),
            };
            match (bit_offset, usize::from(bit_precision)) {
                (0, bits) if bits == 8 * number.n_bytes() => Ok((number, big_endian(byte_order)?)),
                _ => Err(format!("integers of {bit_precision} bits in {size} bytes")),
            }
        }
        Datatype::FloatingPoint { size, byte_order, layout } => {
            let number = match *layout {
                FloatingPointLayout::IEEE754_BINARY32 if *size == 4 => NumberType::F32,
                FloatingPointLayout::IEEE754_BINARY64 if *size == 8 => NumberType::F64,
                HALF if *size == 2 => NumberType::F16,
                _ => return Err(format!("floating point numbers of {size} bytes")),
            };
            Ok((number, big_endian(byte_order)?))
        }
        // Truth values of h5py are names for 0 and 1.
        Datatype::Enumeration { base_type, .. } if matches!(**base_type, Datatype::FixedPoint { .. }) => {
            number_type(base_type)
        }
        Datatype::Compound { .. } => Err("structures".into()),
        Datatype::String { .. } | Datatype::VariableLength { .. } => Err("texts or lists".into()),
        _ => Err("another type".into()),
    }
}

/// IEEE 754 binary16.
const HALF: FloatingPointLayout = FloatingPointLayout {
    bit_offset: 0,
    bit_precision: 16,
    exponent_location: 10,
    exponent_size: 5,
    mantissa_location: 0,
    mantissa_size: 10,
    exponent_bias: 15,
};
