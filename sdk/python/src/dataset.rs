//! An open dataset: what it said of itself, and the filling of batches.

use std::ops::ControlFlow;

use medcoss_abi::abi_stable::std_types::{RSliceMut, RVec};
use medcoss_abi::message::{Continuous, Discrete, Geometry, Info, Open};
use medcoss_abi::{
    ExtraBuffer, FillBuffers, FillRequest, SampleReport, VIEW_PLAIN, VIEW_TRAIN, code, extra, operation,
};
use serde_json::{Value, json};

use crate::Failure;
use crate::pool::Pool;
use crate::worker::{Done, Worker};

/// What a worker does when it fills.
const DOING: &str = "it loaded the sample";
/// Buffers begin at multiples of this in the shared memory.
const ALIGNMENT: u64 = 64;
/// Bytes of the samples that a request to a worker is for, unless one sample alone has more. Memory that is used again and again stays in
/// the processor's cache: to pass a batch through it in pieces takes half of the time.
const PIECE_BYTES: usize = 2 << 20;
/// Samples of a request, however small they are.
const MOST_AT_ONCE: usize = 64;

/// A dataset that the host opened. Workers open it when they are first asked for its samples.
pub(crate) struct Dataset {
    pool: &'static Pool,
    number: u64,
    request: Vec<u8>,
    info: Info,
}

/// A buffer of the host, and its place in each piece of the shared memory.
struct Part<'a> {
    name: &'static str,
    /// NumPy's name of the type.
    kind: &'static str,
    /// Elements of a sample.
    elements: usize,
    /// Bytes of a sample.
    sample_bytes: usize,
    /// Where it begins in a piece.
    offset: u64,
    bytes: &'a mut [u8],
}

impl Dataset {
    /// Opens a dataset in one worker.
    ///
    /// # Errors
    /// A request that is none, and what the module reports.
    pub(crate) fn open(pool: &'static Pool, request: &[u8]) -> Result<Self, Failure> {
        serde_json::from_slice::<Open>(request).map_err(|error| Failure::bad_request(format!("request: {error}")))?;
        let number = pool.add_dataset();
        let opened = pool.with_worker(None, |worker| open_in(worker, number, request));
        // The dataset counts as open, and is closed again if that failed.
        let info = opened.inspect_err(|_| pool.remove_dataset(number))?;
        Ok(Self { pool, number, request: request.to_vec(), info })
    }

    /// A number that no other dataset of this library has or had, and that is not 0.
    pub(crate) fn handle(&self) -> usize {
        self.number as usize
    }

    /// The answer of a query.
    ///
    /// # Errors
    /// An operation that the modality does not have, and what the module reports.
    pub(crate) fn query(&self, name: &str, body: &[u8]) -> Result<Vec<u8>, Failure> {
        if name == operation::INFO {
            return serde_json::to_vec(&self.info).map_err(|error| Failure::fault(error.to_string()));
        }
        let request = json!({ "operation": name, "dataset": self.number });
        let doing = format!("it answered `{name}`");
        self.with_worker(|worker| Ok(worker.call(&request, body, &doing)?.1))
    }

    fn with_worker<T>(&self, work: impl FnOnce(&mut Worker) -> Result<T, Failure>) -> Result<T, Failure> {
        self.pool.with_worker(Some(self.number), |worker| {
            if !worker.datasets.contains(&self.number) {
                let info = open_in(worker, self.number, &self.request)?;
                if info != self.info {
                    worker.datasets.remove(&self.number);
                    let what = "the data have changed since they were opened: another worker finds other samples";
                    return Err(Failure::new(code::CORRUPT, what));
                }
            }
            work(worker)
        })
    }

    /// Fills a batch.
    ///
    /// # Errors
    /// A view that does not exist, buffers of other sizes than the request needs, workers that cannot be started. What is wrong with a
    /// single sample is reported, the end of a worker that loaded it among that.
    pub(crate) fn fill(
        &self,
        request: FillRequest<'_>,
        buffers: FillBuffers<'_>,
    ) -> Result<RVec<SampleReport>, Failure> {
        let training = match request.view {
            VIEW_PLAIN => false,
            VIEW_TRAIN => true,
            other => {
                let views = format!("{VIEW_PLAIN} nor {VIEW_TRAIN}");
                return Err(Failure::bad_request(format!("view {other} is neither {views}")));
            }
        };
        let (n, n_samples) = (request.indices.len(), self.info.n_samples);
        let misfit = || Failure::bad_request(format!("the buffers do not fit {n} samples of {:?}", self.info.geometry));
        if request.seeds.len() != n {
            return Err(misfit());
        }
        let mut parts = parts(&self.info.geometry, n, buffers).ok_or_else(misfit)?;
        let mut reports = RVec::new();
        let mut waiting = Vec::new();
        for (slot, (&index, &seed)) in request.indices.iter().zip(request.seeds.iter()).enumerate() {
            if index < n_samples {
                waiting.push((slot, index, seed));
                continue;
            }
            let failure = Failure::bad_request(format!("sample {index} does not exist; there are {n_samples}"));
            reports.push(report(slot, failure));
        }
        let mut batch = Batch::new(self.number, training, &mut parts);
        while !waiting.is_empty() {
            let mut n_done = 0;
            let ended = self.with_worker(|worker| {
                Ok(batch.fill(worker, &waiting, |slot, outcome| {
                    n_done += 1;
                    reports.extend(outcome.err().map(|failure| report(slot, failure)));
                }))
            })?;
            waiting.drain(..n_done);
            match ended {
                ControlFlow::Continue(()) => {}
                // Another worker loads the samples that this one did not report, but for that which it ended with.
                ControlFlow::Break(Ended::Worker { death, slot }) => {
                    let at = waiting.iter().position(|waiting| Some(waiting.0) == slot).unwrap_or(0);
                    reports.extend(waiting.get(at).map(|&(slot, ..)| report(slot, death)));
                    waiting.drain(at..waiting.len().min(at + 1));
                }
                ControlFlow::Break(Ended::Call(failure)) => return Err(failure),
            }
        }
        Ok(reports)
    }
}

impl Drop for Dataset {
    fn drop(&mut self) {
        self.pool.remove_dataset(self.number);
    }
}

/// Why a batch was not filled to its end.
enum Ended {
    /// The worker ended, while it loaded the sample in a slot, where that is known.
    Worker { death: Failure, slot: Option<usize> },
    /// The call failed.
    Call(Failure),
}

/// A batch that is being filled, in pieces. There is room for two of them in the shared memory: the worker loads one while the other is read.
struct Batch<'a, 'b> {
    dataset: u64,
    training: bool,
    parts: &'a mut [Part<'b>],
    /// Samples of a piece.
    n_at_once: usize,
    /// Bytes of a piece.
    piece_bytes: u64,
}

impl<'a, 'b> Batch<'a, 'b> {
    fn new(dataset: u64, training: bool, parts: &'a mut [Part<'b>]) -> Self {
        let sample_bytes = parts.iter().map(|part| part.sample_bytes).sum::<usize>().max(1);
        let n_at_once = (PIECE_BYTES / sample_bytes).clamp(1, MOST_AT_ONCE);
        let mut piece_bytes = 0;
        for part in parts.iter_mut() {
            part.offset = piece_bytes;
            piece_bytes = (piece_bytes + (n_at_once * part.sample_bytes) as u64).next_multiple_of(ALIGNMENT);
        }
        Self { dataset, training, parts, n_at_once, piece_bytes }
    }

    /// Fills the waiting samples, in their order, each read as soon as the worker reports it.
    fn fill(
        &mut self,
        worker: &mut Worker,
        waiting: &[(usize, u64, u64)],
        mut done: impl FnMut(usize, Result<(), Failure>),
    ) -> ControlFlow<Ended> {
        if let Err(failure) = worker.reserve(2 * self.piece_bytes) {
            return ControlFlow::Break(Ended::Call(failure));
        }
        let pieces: Vec<_> = waiting.chunks(self.n_at_once).collect();
        let mut n_sent = 0;
        for (place, piece) in pieces.iter().enumerate() {
            while n_sent < pieces.len().min(place + 2) {
                if let Err(death) = worker.send(&self.request(n_sent, pieces[n_sent]), &[], DOING) {
                    return ControlFlow::Break(self.ended(worker, death));
                }
                n_sent += 1;
            }
            let mut at = 0;
            while at < piece.len() {
                let all_done = match worker.answer(DOING) {
                    Ok((message, _)) if !message.done.is_empty() => message.done,
                    Ok(_) => {
                        let death = worker.refuse("an answer without a sample", DOING);
                        return ControlFlow::Break(self.ended(worker, death));
                    }
                    Err(failure) if worker.is_alive() => {
                        // The answer to another piece may be on its way.
                        worker.refuse("an answer that nobody waits for", DOING);
                        return ControlFlow::Break(Ended::Call(failure));
                    }
                    Err(death) => return ControlFlow::Break(self.ended(worker, death)),
                };
                for Done { slot, error } in all_done {
                    if piece.get(at).is_none_or(|expected| expected.0 != slot) {
                        let death = worker.refuse("an answer for another sample", DOING);
                        return ControlFlow::Break(self.ended(worker, death));
                    }
                    let start = self.start_of(place);
                    let read = self.parts.iter_mut().try_for_each(|part| part.read(worker, start, at, slot));
                    // In the evaluation view a skipped sample is delivered nevertheless.
                    done(slot, read.and(error.map_or(Ok(()), |error| Err(error.into()))));
                    at += 1;
                }
            }
        }
        ControlFlow::Continue(())
    }

    /// Where the `place`-th piece begins in the shared memory.
    fn start_of(&self, place: usize) -> u64 {
        (place % 2) as u64 * self.piece_bytes
    }

    fn request(&self, place: usize, piece: &[(usize, u64, u64)]) -> Value {
        let start = self.start_of(place);
        let part = |part: &Part<'_>| json!([part.name, part.kind, start + part.offset, part.elements]);
        json!({
            "operation": "fill",
            "dataset": self.dataset,
            "training": self.training,
            "n_bytes": 2 * self.piece_bytes,
            "samples": piece,
            "parts": self.parts.iter().map(part).collect::<Vec<_>>(),
        })
    }

    fn ended(&self, worker: &Worker, death: Failure) -> Ended {
        Ended::Worker { death, slot: worker.slot_at_end(2 * self.piece_bytes) }
    }
}

impl<'a> Part<'a> {
    /// Reads a sample: the `at`-th of the piece that begins at `start`, which goes into a slot of the buffer.
    fn read(&mut self, worker: &Worker, start: u64, at: usize, slot: usize) -> Result<(), Failure> {
        let place = start + self.offset + (at * self.sample_bytes) as u64;
        worker.read(place, &mut self.bytes[slot * self.sample_bytes..][..self.sample_bytes])
    }

    /// A part of a buffer of `n` samples; `None` where its size is another.
    fn new<T: bytemuck::Pod>(
        name: &'static str,
        kind: &'static str,
        n: usize,
        elements: usize,
        buffer: RSliceMut<'a, T>,
    ) -> Option<Self> {
        let values = buffer.into_mut_slice();
        let sample_bytes = elements * size_of::<T>();
        (values.len() == n * elements).then(|| Self {
            name,
            kind,
            elements,
            sample_bytes,
            offset: 0,
            bytes: bytemuck::cast_slice_mut(values),
        })
    }
}

/// The buffers of a request; `None` where one has another size. Kinds of buffers that are not known are left alone.
fn parts<'a>(geometry: &Geometry, n: usize, buffers: FillBuffers<'a>) -> Option<Vec<Part<'a>>> {
    let FillBuffers { tokens, mask, ids, labels, lengths, extras } = buffers;
    Some(match geometry {
        Geometry::Discrete(Discrete { length, .. }) => vec![
            Part::new("ids", "i4", n, *length, ids)?,
            Part::new("labels", "i4", n, *length, labels)?,
            Part::new("lengths", "i4", n, 1, lengths)?,
        ],
        Geometry::Continuous(geometry) => {
            let n_tokens: usize = geometry.grid.iter().product();
            let mut parts = vec![
                Part::new("tokens", "f4", n, n_tokens * geometry.d_token, tokens)?,
                Part::new("mask", "u1", n, n_tokens, mask)?,
            ];
            for buffer in extras {
                parts.extend(extra_part(geometry, n_tokens, n, buffer)?);
            }
            parts
        }
    })
}

/// `Some(None)` for a buffer of a kind that is not known.
fn extra_part<'a>(
    geometry: &Continuous,
    n_tokens: usize,
    n: usize,
    ExtraBuffer { kind, floats, bytes, .. }: ExtraBuffer<'a>,
) -> Option<Option<Part<'a>>> {
    let n_axes = geometry.grid.len();
    let floats = |name, elements| Part::new(name, "f4", n, elements, floats).map(Some);
    match kind {
        extra::VALID => Part::new("valid", "u1", n, n_tokens, bytes).map(Some),
        extra::TARGETS => floats("targets", n_tokens * geometry.targets.d_target.unwrap_or(0)),
        extra::COORDINATES => floats("coordinates", n_tokens * geometry.coordinates.len()),
        extra::AFFINES => floats("affine", n_axes * (n_axes + 1)),
        _ => Some(None),
    }
}

/// Opens a dataset in a worker.
fn open_in(worker: &mut Worker, number: u64, request: &[u8]) -> Result<Info, Failure> {
    let (message, _) =
        worker.call(&json!({ "operation": "open", "dataset": number }), request, "it opened the data")?;
    let info = serde_json::from_value(Value::Object(message.rest));
    let info =
        info.map_err(|error| Failure::fault(format!("what the module says of the data is not as expected: {error}")))?;
    worker.datasets.insert(number);
    Ok(info)
}

fn report(slot: usize, failure: Failure) -> SampleReport {
    SampleReport { slot: slot as u64, code: failure.code, message: failure.message.into() }
}
