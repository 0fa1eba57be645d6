//! Finding the scans among DICOM files, from all headers.
//!
//! Every file is part of a scan, or left out for a reason. Slices are grouped by what always tells scans apart
//! (`series_grouping`), groups are separated where positions repeat (`scan_separation`), and what is no
//! scan is left out (`image_kind`, `localisers`). `sdk/formats/SCANS.md` states the rules.

use std::collections::{BTreeMap, BTreeSet};

use medcoss_sdk::{Account, Error, FoundFile};

use super::image_kind::LOCALISER;
use super::localisers::is_localiser;
use super::scan_rules::{MissingRescale, ScanRules};
use super::scan_separation::{Separated, separate};
use super::series::{MAX_VOXELS, Series};
use super::series_files::{Contents, Digests, contents};
use super::series_grouping::{Group, Key, add};
use super::series_name::{Traits, name, tell_apart};
use super::stack::{Numbered, SEVERAL, Stack};

/// Reason of mosaics of a time series after the first.
const LATER_MOSAIC: &str = "a later volume of a time series of mosaics, of which the first is read";

/// Finds the series among files, from all headers. Files that the user `named` are not left out, whatever they show. A
/// file that cannot be read becomes a series that cannot be read.
pub fn find_series(
    files: Vec<FoundFile>,
    rules: &ScanRules,
    named: impl Fn(&FoundFile) -> bool,
    account: &mut Account,
) -> Vec<Series> {
    let mut search = Search { rules, left_out: Vec::new(), n_commas: 0, n_padded: 0, n_stored_values: 0 };
    let n_files = files.len();
    let mut found: Vec<(Series, Traits)> = Vec::new();
    let mut groups = search.groups(files, &named, &mut found, account);
    search.without_localisers(&mut groups, &named);
    for (key, Group { files, planes }) in groups {
        let mut digests = Digests::of(&files);
        let separated = separate(planes, &mut |plane| digests.digest(plane));
        found.extend(separated.into_iter().map(|separated| search.series(&key, &files, separated)));
    }
    found.sort_by(|(a, _), (b, _)| (&a.id, &a.files[0].id).cmp(&(&b.id, &b.files[0].id)));
    tell_apart(found.iter_mut().map(|(series, traits)| (&mut series.id, std::mem::take(traits))).collect());
    let series: Vec<Series> = found.into_iter().map(|(series, _)| series).collect();
    search.report(&series, n_files, account);
    series
}

/// A search for series, and what it has to report.
struct Search<'a> {
    rules: &'a ScanRules,
    /// Files that are left out, unless another series uses them, and their reasons.
    left_out: Vec<(String, &'static str)>,
    n_commas: usize,
    n_padded: usize,
    n_stored_values: usize,
}

impl Search<'_> {
    /// Groups the planes of files.
    fn groups(
        &mut self,
        files: Vec<FoundFile>,
        named: &impl Fn(&FoundFile) -> bool,
        found: &mut Vec<(Series, Traits)>,
        account: &mut Account,
    ) -> Vec<(Key, Group)> {
        let mut groups: BTreeMap<Key, Vec<Group>> = BTreeMap::new();
        let mut mosaics: BTreeSet<String> = BTreeSet::new();
        for file in files {
            match contents(&file, self.rules, named(&file)) {
                Ok(Contents::Planes(scan)) => {
                    self.n_commas += usize::from(scan.has_decimal_comma);
                    self.n_padded += usize::from(scan.is_padded);
                    let several = scan.planes.len() > 1 && !scan.is_mosaic;
                    if scan.is_mosaic {
                        mosaics.insert(file.id.clone());
                    }
                    for plane in scan.planes {
                        let key = Key::of(&scan.series, &plane, &file, several);
                        add(groups.entry(key).or_default(), &file, plane);
                    }
                }
                Ok(Contents::LeftOut(reason)) => account.leave_out(file.id, reason),
                Err(error) => found.push((
                    Series { id: file.id.clone(), files: vec![file], stack: Err(error), outside: self.rules.outside },
                    Traits::default(),
                )),
            }
        }
        let each =
            groups.into_iter().flat_map(|(key, groups)| groups.into_iter().map(move |group| (key.clone(), group)));
        each.map(|(key, group)| (key, self.first_of_mosaics(group, &mosaics))).collect()
    }

    /// Of several mosaics the first by number; each is a whole volume.
    fn first_of_mosaics(&mut self, group: Group, mosaics: &BTreeSet<String>) -> Group {
        if !group.files.iter().all(|file| mosaics.contains(&file.id)) {
            return group;
        }
        let order = |(file, plane): &&Numbered| (plane.number, *file);
        let first = group.planes.iter().min_by(|a, b| {
            let ((a, i), (b, j)) = (order(a), order(b));
            a.total_cmp(&b).then(i.cmp(&j))
        });
        let Some(&(first, _)) = first else { return group };
        let others = group.files.iter().enumerate().filter(|(at, _)| *at != first);
        self.left_out.extend(others.map(|(_, file)| (file.id.clone(), LATER_MOSAIC)));
        Group { planes: group.planes.into_iter().filter(|(file, _)| *file == first).collect(), ..group }
    }

    /// Leaves out the groups that are localisers beside the stack of their series, or of their study in CT.
    fn without_localisers(&mut self, groups: &mut Vec<(Key, Group)>, named: &impl Fn(&FoundFile) -> bool) {
        let is_ct = self.rules.modality == ScanRules::CT.modality;
        let marks = |group: &Group| group.planes.first().map(|(_, plane)| plane.marks.clone());
        let in_one_study = |one: &Group, other: &Group| match (marks(one), marks(other)) {
            (Some(one), Some(other)) => one.is_of_study(&other),
            _ => false,
        };
        let is_localiser = |(key, group): &(Key, Group)| {
            !group.files.iter().any(named)
                && groups.iter().any(|(other_key, other)| {
                    (key.is_of_series(other_key) || is_ct && in_one_study(group, other))
                        && is_localiser(&group.planes, &other.planes)
                })
        };
        let are_localisers: Vec<bool> = groups.iter().map(is_localiser).collect();
        let mut are_localisers = are_localisers.into_iter();
        groups.retain(|(_, group)| {
            let is_localiser = are_localisers.next().unwrap_or_default();
            if is_localiser {
                self.left_out.extend(group.files.iter().map(|file| (file.id.clone(), LOCALISER)));
            }
            !is_localiser
        });
    }

    /// A series of separated planes, and what its name may be distinguished by.
    fn series(&mut self, key: &Key, files: &[FoundFile], separated: Separated) -> (Series, Traits) {
        let Separated { mut planes, unused, in_time, is_mixed } = separated;
        self.left_out.extend(unused.iter().map(|((file, _), reason)| (files[*file].id.clone(), *reason)));
        // Files that are not used count as well: the series changes with them.
        let own: BTreeSet<usize> =
            planes.iter().map(|(file, _)| *file).chain(unused.iter().map(|((file, _), _)| *file)).collect();
        let place = |file: usize| own.iter().position(|&other| other == file).unwrap_or_default();
        planes.iter_mut().for_each(|(file, _)| *file = place(*file));
        let files: Vec<FoundFile> = own.iter().map(|&file| files[file].clone()).collect();
        let id = name(&key.series, &files);
        let traits = Traits::of(planes.iter().map(|(_, plane)| &*plane.marks), in_time);
        let stack = match is_mixed {
            true => Err(Error::unsupported(format!(
                "{id} has several slices at one place, and neither phase, echo, acquisition, time nor number tells them \
                 apart\nhint: keep the files of one scan, or convert the series to NIfTI, with dcm2niix"
            ))),
            false => self.check_rescale(&id, &planes).and_then(|()| stacked(&id, planes)),
        };
        let stack = stack.map(|mut stack| {
            stack.notes.extend((!unused.is_empty()).then_some(SEVERAL));
            stack
        });
        (Series { id, files, stack, outside: self.rules.outside }, traits)
    }

    /// Refuses planes whose numbers have no unit where they need one, or counts them.
    fn check_rescale(&mut self, id: &str, planes: &[Numbered]) -> Result<(), Error> {
        let problems: Vec<&str> = planes.iter().filter_map(|(_, plane)| plane.rescale_problem).collect();
        let (Some(first), Some(rule)) = (problems.first(), self.rules.missing_rescale) else { return Ok(()) };
        let (n, all) = (problems.len(), planes.len());
        match rule {
            MissingRescale::Refuse => Err(Error::unsupported(format!(
                "{id} has {n} of {all} slices whose stored numbers do not give Hounsfield units: {first}\nhint: set \
                 missing_rescale to \"stored-values\" where the stored numbers are Hounsfield units"
            ))),
            MissingRescale::StoredValues => {
                self.n_stored_values += 1;
                Ok(())
            }
        }
    }

    /// Reports what was left out, converted and assumed.
    fn report(self, series: &[Series], n_files: usize, account: &mut Account) {
        let used: BTreeSet<&str> = series.iter().flat_map(Series::used_files).collect();
        let mut seen = BTreeSet::new();
        for (file, reason) in self.left_out {
            if !used.contains(file.as_str()) && seen.insert(file.clone()) {
                account.leave_out(file, reason);
            }
        }
        account.notice(
            self.n_commas,
            n_files,
            "DICOM files have numbers with a decimal comma, which is read as a decimal point",
        );
        let outside = self.rules.outside;
        account.notice(
            self.n_padded,
            n_files,
            format!("DICOM files pad their images with values that would be tissue, and that are read as {outside}"),
        );
        account.notice(
            self.n_stored_values,
            series.len(),
            "DICOM scans have no usable rescale; their stored numbers are taken for Hounsfield units",
        );
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
