//! Separation of planes into scans: one patient, study, series, phase, echo and reconstruction each.
//!
//! Planes come in with equal values of the elements that always count ([`super::scan_elements`]). Elements that scanners
//! also vary within a scan count only where positions repeat, and only where their values separate the planes into whole
//! stacks that share positions. What then still repeats is a copy (equal pixels), or a later stack by its numbers; of both the first is used, and the rest
//! is reported. Where numbers do not show stacks either, the scan is refused: slices of two scans are never mixed.

use std::collections::{BTreeMap, BTreeSet};

use super::image_plane::{Plane, dot};
use super::scan_elements::{ELEMENTS, IN_TIME, When};
use super::stack::{Numbered, SAME_PLACE_MM};

/// Reason of files whose pixels are those of another.
const COPY: &str = "a copy of another slice of its scan";
/// Reason of files of a later stack.
const LATER: &str = "at the position of another slice of its scan, from which its number alone tells it apart";

/// The digest of a plane's pixels; `None` where they cannot be read.
type Digest<'a> = &'a mut dyn FnMut(&Numbered) -> Option<u64>;

/// Planes of one scan.
#[derive(Debug, Default)]
pub(super) struct Separated {
    /// The planes, none at the position of another.
    pub(super) planes: Vec<Numbered>,
    /// Planes that are not used, because another has their position, each with its reason.
    pub(super) unused: Vec<(Numbered, &'static str)>,
    /// The element by whose order in time the scan was separated, and its number in this order, from 1.
    pub(super) in_time: Option<(&'static str, usize)>,
    /// Whether slices at one position are distinguished by nothing.
    pub(super) is_mixed: bool,
}

/// Separates planes of equal size and direction into scans. `digest` is that of a plane's pixels.
pub(super) fn separate(planes: Vec<Numbered>, digest: Digest<'_>) -> Vec<Separated> {
    let mut parts = vec![planes];
    let shared = [When::SharedByPlanes, When::RangesOverlap];
    for (index, element) in ELEMENTS.iter().enumerate().filter(|(_, element)| shared.contains(&element.when)) {
        parts = parts.into_iter().flat_map(|part| by_shared_values(part, index, element.when)).collect();
    }
    let mut found = Vec::new();
    parts.into_iter().for_each(|part| whole_stacks(part, digest, &mut found));
    found
}

/// Parts by the values of an element, if every value is that of several planes, and their ranges overlap where they must.
fn by_shared_values(planes: Vec<Numbered>, element: usize, when: When) -> Vec<Vec<Numbered>> {
    let parts = by_value(&planes, element);
    if parts.len() < 2 || parts.values().any(|part| part.len() < 2) {
        return vec![planes];
    }
    if when == When::RangesOverlap && !do_ranges_overlap(parts.values(), &places(&planes)) {
        return vec![planes];
    }
    let parts: Vec<Vec<usize>> = parts.into_values().collect();
    taken_apart(planes, parts)
}

/// Whether the range of places of each part overlaps that of another by half of the shorter of both.
fn do_ranges_overlap<'a>(parts: impl Iterator<Item = &'a Vec<usize>>, places: &[usize]) -> bool {
    let range = |part: &Vec<usize>| {
        let own = || part.iter().map(|&at| places[at]);
        Some([own().min()?, own().max()?])
    };
    let ranges: Vec<[usize; 2]> = parts.filter_map(range).collect();
    let overlaps = |[first, last]: [usize; 2], [other_first, other_last]: [usize; 2]| {
        let shorter = (last - first).min(other_last - other_first) + 1;
        let shared = (last.min(other_last) + 1).saturating_sub(first.max(other_first));
        2 * shared >= shorter
    };
    ranges.iter().enumerate().all(|(at, &range)| {
        ranges.iter().enumerate().any(|(other, &other_range)| at != other && overlaps(range, other_range))
    })
}

/// Indices of the planes by their values of an element.
fn by_value(planes: &[Numbered], element: usize) -> BTreeMap<Option<&str>, Vec<usize>> {
    let mut parts: BTreeMap<Option<&str>, Vec<usize>> = BTreeMap::new();
    for (at, (_, plane)) in planes.iter().enumerate() {
        parts.entry(plane.marks.get(element)).or_default().push(at);
    }
    parts
}

/// The planes, moved into parts that are given by indices.
fn taken_apart<T>(planes: Vec<T>, parts: impl IntoIterator<Item = Vec<usize>>) -> Vec<Vec<T>> {
    let mut planes: Vec<Option<T>> = planes.into_iter().map(Some).collect();
    let part = |indices: Vec<usize>| indices.into_iter().filter_map(|at| planes[at].take()).collect();
    parts.into_iter().map(part).collect()
}

/// Separates planes until no position repeats.
fn whole_stacks(planes: Vec<Numbered>, digest: Digest<'_>, found: &mut Vec<Separated>) {
    let places = places(&planes);
    if most_repeated(&places) < 2 {
        return found.push(Separated { planes, ..Separated::default() });
    }
    let elements = ELEMENTS.iter().enumerate().filter(|(_, element)| element.when != When::Always);
    for (index, _) in elements.clone() {
        let parts = by_value(&planes, index);
        if parts.len() > 1 && are_whole(&parts.values().collect::<Vec<_>>(), &places) {
            let parts: Vec<Vec<usize>> = parts.into_values().collect();
            return taken_apart(planes, parts).into_iter().for_each(|part| whole_stacks(part, digest, found));
        }
    }
    for (index, element) in elements.filter(|(_, element)| IN_TIME.contains(&element.word)) {
        if let Some(runs) = runs_in_time(&planes, index, &places) {
            let runs = taken_apart(planes, runs).into_iter().enumerate();
            return runs.for_each(|(number, planes)| {
                let in_time = Some((element.word, number + 1));
                found.push(Separated { planes, in_time, ..Separated::default() });
            });
        }
    }
    found.push(first_of_each(planes, places, digest));
}

/// The place of each plane along the normal, as a number that is equal for planes at one position. By Image Position, or
/// else by Slice Location, or else by number.
fn places(planes: &[Numbered]) -> Vec<usize> {
    let Some((_, first)) = planes.first() else { return Vec::new() };
    let normal = first.normal();
    let all = |coordinate: &dyn Fn(&Plane) -> Option<f64>| -> Option<Vec<f64>> {
        planes.iter().map(|(_, plane)| coordinate(plane)).collect()
    };
    let numbers = || {
        let is_one_file = planes.iter().all(|(file, _)| *file == planes[0].0);
        let numbers =
            all(&|plane| Some(plane.number)).filter(|numbers| !is_one_file && numbers.iter().any(|n| *n != numbers[0]));
        // Frames and files without numbers are in the order of the file, or of their names.
        numbers.unwrap_or_else(|| (0..planes.len()).map(|at| at as f64).collect())
    };
    let coordinates = all(&|plane| plane.position.map(|position| dot(position, normal)))
        .or_else(|| all(&|plane| plane.location))
        .unwrap_or_else(numbers);
    let mut order: Vec<usize> = (0..planes.len()).collect();
    order.sort_by(|&a, &b| coordinates[a].total_cmp(&coordinates[b]));
    let (mut places, mut place, mut begin) = (vec![0; planes.len()], 0, f64::NEG_INFINITY);
    for at in order {
        // Positions of one slice may differ in their last digit.
        if coordinates[at] - begin >= SAME_PLACE_MM {
            (place, begin) = (place + usize::from(begin.is_finite()), coordinates[at]);
        }
        places[at] = place;
    }
    places
}

/// How often the place that repeats most does.
fn most_repeated(places: &[usize]) -> usize {
    repeated(places.iter().copied()).into_values().max().unwrap_or_default()
}

/// Number of planes at each place.
fn repeated(places: impl IntoIterator<Item = usize>) -> BTreeMap<usize, usize> {
    let mut n_planes = BTreeMap::new();
    places.into_iter().for_each(|place| *n_planes.entry(place).or_default() += 1);
    n_planes
}

/// Whether each part is a stack beside the others: there are no more parts than slices at one place, no part repeats
/// places as the whole does, and each shares half of its places, or of the other's, with another part. Parts of one slice
/// are stacks where all slices are at one place.
fn are_whole(parts: &[&Vec<usize>], places: &[usize]) -> bool {
    let all = repeated(places.iter().copied());
    let most = all.values().max().copied().unwrap_or_default();
    if parts.len() > most {
        return false;
    }
    let own: Vec<BTreeMap<usize, usize>> =
        parts.iter().map(|part| repeated(part.iter().map(|&at| places[at]))).collect();
    let shares = |part: &BTreeMap<usize, usize>, other: &BTreeMap<usize, usize>| {
        let n_shared = part.keys().filter(|place| other.contains_key(place)).count();
        2 * n_shared >= part.len().min(other.len())
    };
    own.iter().enumerate().all(|(at, part)| {
        let mut others = own.iter().enumerate().filter(|(other, _)| *other != at);
        (part.len() > 1 || all.len() == 1)
            && part.values().all(|&n| n < most)
            && others.any(|(_, other)| shares(part, other))
    })
}

/// Parts of equal places that follow one another by an element that grows in time.
fn runs_in_time(planes: &[Numbered], element: usize, places: &[usize]) -> Option<Vec<Vec<usize>>> {
    let time = |(_, plane): &Numbered| plane.marks.get(element)?.replace(':', "").parse::<f64>().ok();
    let times: Vec<f64> = planes.iter().map(time).collect::<Option<_>>()?;
    let runs = runs(&times, places);
    let all: BTreeSet<usize> = places.iter().copied().collect();
    // Slices of one time are in no order.
    let is_ordered = |run: &Vec<usize>, next: &Vec<usize>| {
        let last = run.iter().map(|&at| times[at]).fold(f64::NEG_INFINITY, f64::max);
        next.iter().all(|&at| times[at] > last)
    };
    let are_apart = runs.windows(2).all(|pair| is_ordered(&pair[0], &pair[1]));
    (runs.len() > 1 && runs.iter().all(|run| run.len() == all.len()) && are_apart).then_some(runs)
}

/// Planes in the order of their values, cut where a place would repeat.
fn runs(values: &[f64], places: &[usize]) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let (mut runs, mut seen): (Vec<Vec<usize>>, _) = (Vec::new(), BTreeSet::new());
    for at in order {
        if runs.is_empty() || !seen.insert(places[at]) {
            seen = BTreeSet::from([places[at]]);
            runs.push(Vec::new());
        }
        runs.last_mut().into_iter().for_each(|run| run.push(at));
    }
    runs
}

/// The first plane at each place: of copies, or of stacks that Instance Number puts one after another.
fn first_of_each(planes: Vec<Numbered>, places: Vec<usize>, digest: Digest<'_>) -> Separated {
    let mut separated = Separated::default();
    let (mut kept, mut kept_places): (Vec<Numbered>, Vec<usize>) = (Vec::new(), Vec::new());
    let (n_planes, mut seen) = (repeated(places.iter().copied()), BTreeSet::new());
    for (plane, place) in planes.into_iter().zip(places) {
        let own = (n_planes[&place] > 1).then(|| digest(&plane)).flatten();
        if own.is_some_and(|own| !seen.insert((place, own))) {
            separated.unused.push((plane, COPY));
        } else {
            kept.push(plane);
            kept_places.push(place);
        }
    }
    if most_repeated(&kept_places) < 2 {
        return Separated { planes: kept, ..separated };
    }
    let numbers: Vec<f64> = kept.iter().map(|(_, plane)| plane.number).collect();
    let Some(first) = first_by_number(&numbers, &kept_places) else {
        return Separated { planes: kept, is_mixed: true, ..separated };
    };
    let rest = (0..kept.len()).filter(|at| !first.contains(at)).collect();
    let [first, rest]: [Vec<usize>; 2] = [first.into_iter().collect(), rest];
    let mut parts = taken_apart(kept, [first, rest]).into_iter();
    separated.planes = parts.next().unwrap_or_default();
    separated.unused.extend(parts.next().unwrap_or_default().into_iter().map(|plane| (plane, LATER)));
    separated
}

/// The first stack by number: the first planes, if they cover all places, or the first of each place, if the planes of a
/// place are numbered one after another. `None` where numbers show no stack.
fn first_by_number(numbers: &[f64], places: &[usize]) -> Option<BTreeSet<usize>> {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    if sorted.windows(2).any(|pair| pair[0] == pair[1]) {
        return None;
    }
    let n_places = repeated(places.iter().copied());
    let runs = runs(numbers, places);
    let first = runs.first()?;
    if first.len() == n_places.len() {
        return Some(first.iter().copied().collect());
    }
    let mut order: Vec<usize> = (0..numbers.len()).collect();
    order.sort_by(|&a, &b| numbers[a].total_cmp(&numbers[b]));
    let mut firsts: Vec<usize> = Vec::new();
    for pair in std::iter::once(None).chain(order.iter().map(Some)).zip(&order) {
        let (before, &at) = pair;
        if before.is_none_or(|&before| places[before] != places[at]) {
            firsts.push(at);
        }
    }
    let most = n_places.values().max()?;
    (firsts.len() == n_places.len() && n_places.values().all(|n| n == most)).then(|| firsts.into_iter().collect())
}
