//! Batches.

use std::fs;
use std::sync::atomic::Ordering;

use medcoss_abi::abi_stable::std_types::{RErr, ROk, RResult, RString, RVec};
use medcoss_abi::{
    DatasetHandle, ExtraBuffer, FillBuffers, FillRequest, NOT_A_TARGET, PluginError, SampleReport, VIEW_TRAIN, code,
    extra,
};
use serde_json::json;

use super::dataset::{Answer, Dataset, Kind, N_CALLS, N_OPEN, decoded, failed};
use super::fault::{Fault, current, is, is_main_thread};

pub(super) extern "C" fn fill(
    handle: DatasetHandle,
    request: FillRequest<'_>,
    mut buffers: FillBuffers<'_>,
) -> RResult<RVec<SampleReport>, PluginError> {
    // SAFETY: the kit passes what `open` gave and it has not closed.
    let dataset = unsafe { &*handle.0.cast::<Dataset>() };
    let train = request.view == VIEW_TRAIN;
    if request.view > VIEW_TRAIN && !is(Fault::UnknownViewDelivered) {
        let body = json!({ "message": format!("there is no view {}", request.view) }).to_string();
        return RErr(PluginError { code: code::BAD_REQUEST, body: body.into() });
    }
    let n = request.indices.len();
    match current() {
        // Hidden from the optimiser, which leaves out unused memory.
        Fault::LeaksMemory => drop(std::hint::black_box(Box::leak(vec![1u8; 2048].into_boxed_slice()))),
        Fault::Slow => std::thread::sleep(std::time::Duration::from_millis(20)),
        _ => {}
    }
    let mut extras = std::mem::take(&mut buffers.extras);
    if extras.iter().any(|extra| extra.kind > extra::AFFINES) {
        match current() {
            Fault::UnknownExtraRefused => {
                let body = json!({ "message": "what is this?" }).to_string();
                return RErr(PluginError { code: code::UNSUPPORTED, body: body.into() });
            }
            Fault::UnknownExtraWritten => extras.iter_mut().for_each(|extra| {
                if let Some(byte) = extra.bytes.as_mut_slice().first_mut() {
                    *byte = 1;
                }
            }),
            _ => {}
        }
    }
    let mut errors = RVec::new();
    for slot in 0..n {
        let mut random = request.seeds[slot] | 1;
        if is(Fault::ExtrasChangeMasks) && !extras.is_empty() {
            random += 2;
        }
        match current() {
            Fault::CountsCalls => random += 2 * N_CALLS.fetch_add(1, Ordering::Relaxed) as u64,
            Fault::PlaceInBatch => random += 2 * slot as u64,
            Fault::SizeOfBatch => random += 2 * n as u64,
            Fault::ByThread if !is_main_thread() => random += 2,
            Fault::SameMasks => random = 1,
            Fault::PlainIsMasked if !train => random = 1,
            Fault::ShareAStatic => random += 2 * N_OPEN.load(Ordering::SeqCst) as u64,
            _ => {}
        }
        if let Err((code, message)) = filled(dataset, request.indices[slot], train, random, slot, &mut buffers) {
            let slot = if is(Fault::SlotOutOfRange) { n } else { slot };
            let mut message = message.into_bytes();
            if is(Fault::MessageNotUtf8) {
                message.extend(b"\xff\xfe");
            }
            // SAFETY: none for the fault; a plugin may be as wrong.
            let message = unsafe { RString::from_utf8_unchecked(RVec::from(message)) };
            errors.push(SampleReport { slot: slot as u64, code, message });
            continue;
        }
        if dataset.kind == Kind::Rich {
            extras.iter_mut().for_each(|extra| filled_extra(extra, slot, train));
            let is_skipped = match current() {
                Fault::SkipsAtRandom => N_CALLS.fetch_add(1, Ordering::Relaxed).is_multiple_of(3),
                _ => is_flat(dataset, request.indices[slot]) && (!train || request.seeds[slot].is_multiple_of(2)),
            };
            if is_skipped {
                errors.push(SampleReport { slot: slot as u64, code: code::SKIPPED, message: "flat".into() });
                if is(Fault::SkippedIsEmpty) {
                    buffers.tokens[slot * 24..][..24].fill(f32::NAN);
                }
            }
        }
    }
    ROk(errors)
}

/// Whether there is nothing to learn from a file, by its first value.
fn is_flat(dataset: &Dataset, index: u64) -> bool {
    dataset
        .files
        .get(index as usize)
        .and_then(|(_, path)| fs::read(path).ok()?.get(5).map(|value| value / 2 % 4 == 3))
        .unwrap_or(false)
}

/// What a rich sample has beside tokens and mask.
fn filled_extra(extra: &mut ExtraBuffer<'_>, slot: usize, train: bool) {
    let fault = current();
    match extra.kind {
        extra::VALID => {
            let valid = &mut extra.bytes[slot * 12..][..12];
            valid.fill(1);
            valid[11] = 0;
            if fault == Fault::ValidityTwo {
                valid[3] = 2;
            }
        }
        extra::TARGETS => {
            let targets = &mut extra.floats[slot * 36..][..36];
            targets.fill(0.5);
            if fault == Fault::TargetNotANumber {
                targets[7] = f32::NAN;
            }
        }
        extra::COORDINATES => {
            let coordinates = &mut extra.floats[slot * 12..][..12];
            coordinates.fill(0.25);
            coordinates[11] = if fault == Fault::CoordinateOfNothing { 0.25 } else { 0.0 };
            if fault == Fault::CoordinateOutOfRange {
                coordinates[2] = 1.5;
            }
        }
        extra::AFFINES => {
            let affine = &mut extra.floats[slot * 6..][..6];
            affine.copy_from_slice(&[4.0, 0.0, 1.0, 0.0, -2.0, 8.0]);
            if fault == Fault::AffineOfNoVolume && train {
                affine[4] = 0.0;
            }
        }
        _ => {}
    }
}

fn filled(
    dataset: &Dataset,
    index: u64,
    train: bool,
    mut random: u64,
    slot: usize,
    buffers: &mut FillBuffers<'_>,
) -> Answer<()> {
    let fault = current();
    let Some((_, path)) = dataset.files.get(usize::try_from(index).unwrap_or(usize::MAX)) else {
        return match fault {
            Fault::BadIndexDelivered => Ok(()),
            Fault::BadIndexPanics => failed(code::PANIC, "index out of bounds"),
            _ => failed(code::BAD_REQUEST, format!("there is no sample {index}")),
        };
    };
    match fault {
        Fault::LoadPanics => return failed(code::PANIC, "unwrap"),
        Fault::LoadFails | Fault::SlotOutOfRange | Fault::MessageNotUtf8 => {
            return failed(code::UNSUPPORTED, "such files are not read");
        }
        _ => {}
    }
    let mut values = decoded(path)?;
    if dataset.shifted {
        values[0] ^= 64;
    }
    let mut draw = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    if dataset.kind == Kind::Words {
        let ids = &mut buffers.ids[slot * 32..][..32];
        let labels = &mut buffers.labels[slot * 32..][..32];
        for (at, id) in ids.iter_mut().enumerate() {
            match values.get(at) {
                Some(&value) => *id = value.into(),
                None if fault == Fault::LeavesPadding && at == 31 => {}
                None => *id = 299,
            }
        }
        labels.fill(NOT_A_TARGET);
        buffers.lengths[slot] = 24;
        if train && fault != Fault::NoTargets {
            for _ in 0..5 {
                let at = (draw() % 24) as usize;
                labels[at] = values[at].into();
                ids[at] = 298;
            }
        }
        match fault {
            Fault::LengthTooLarge => buffers.lengths[slot] = 33,
            Fault::WordsBehindTheLength => ids[27] = 5,
            Fault::IdOutOfRange => ids[3] = 300,
            Fault::NegativeId => ids[3] = -1,
            Fault::TargetOutOfRange if train => labels[3] = 300,
            Fault::TargetInPadding if train => labels[25] = 3,
            Fault::PlainHasTargets if !train => labels[3] = 3,
            _ => {}
        }
        return Ok(());
    }
    let tokens = &mut buffers.tokens[slot * 24..][..24];
    let mask = &mut buffers.mask[slot * 12..][..12];
    let left = tokens[23];
    for (token, value) in tokens.iter_mut().zip(&values) {
        // Zero is in no valid file.
        let bad = fault == Fault::TruncatedNotANumber && *value == 0;
        *token = if bad { f32::NAN } else { f32::from(*value) / 255.0 };
    }
    if dataset.kind == Kind::Rich && fault != Fault::NothingHasValues {
        tokens[22..].fill(0.0);
    }
    if fault == Fault::LeavesAValue {
        tokens[23] = left;
    }
    mask.fill(0);
    if train || fault == Fault::PlainIsMasked {
        let mut left = match fault {
            Fault::MaskTooFew => 6,
            Fault::MaskTooManySometimes => 7 + usize::from(draw() % 8 == 0),
            _ => 7,
        };
        while left > 0 {
            let at = (draw() % 12) as usize;
            left -= usize::from(mask[at] == 0);
            mask[at] = 1;
        }
    }
    match fault {
        Fault::PlainWithChance if !train => tokens[0] = (draw() % 1000) as f32,
        Fault::CountsCalls | Fault::PlaceInBatch | Fault::SizeOfBatch | Fault::ByThread | Fault::ShareAStatic
            if train =>
        {
            tokens[1] = (draw() % 1000) as f32;
        }
        Fault::NotANumber => tokens[13] = f32::NAN,
        Fault::Infinite if train => tokens[13] = f32::NEG_INFINITY,
        Fault::MaskTwo if train => {
            if let Some(masked) = mask.iter_mut().find(|masked| **masked == 1) {
                *masked = 2;
            }
        }
        // SAFETY: none is claimed. This is the fault that the guards are there for, and they are long enough for it.
        Fault::WritesPastTheEnd => unsafe { *buffers.tokens.as_mut_ptr().add(buffers.tokens.len() + 2) = 0.5 },
        // SAFETY: as above.
        Fault::WritesBeforeTheBeginning => unsafe { *buffers.tokens.as_mut_ptr().sub(1) = 0.5 },
        // SAFETY: as above.
        Fault::WritesMaskPastTheEnd if train => unsafe { *buffers.mask.as_mut_ptr().add(buffers.mask.len()) = 1 },
        _ => {}
    }
    Ok(())
}
