//! The export macro and the functions behind it. They translate between the binary contract and the traits, and catch panics.

/// Makes a crate a plugin: `export_plugin!(ecg, Ecg);` with the id, bare, and the type that implements
/// [`Modality`](crate::Modality).
///
/// Exports the header under `medcoss_plugin_v1_<id>` and registers it for programs that link the crate statically. A crate
/// that is compiled with `panic = "abort"` is refused: a panic must be contained in the plugin.
#[macro_export]
macro_rules! export_plugin {
    ($id:ident, $modality:ty) => {
        const _: () = {
            #[cfg(panic = "abort")]
            compile_error!("a medcoss plugin must be compiled with panic = \"unwind\"");

            const _: () = assert!(
                $crate::shim::same(<$modality as $crate::Modality>::ID, stringify!($id)),
                "the id given to export_plugin! is not the modality's ID"
            );

            #[used]
            #[unsafe(export_name = concat!("medcoss_plugin_v1_", stringify!($id)))]
            pub static HEADER: $crate::abi::PluginHeader =
                $crate::abi::PluginHeader::new($crate::shim::table::<$modality>());

            $crate::abi::inventory::submit! {
                $crate::abi::Builtin { id: stringify!($id), header: &HEADER }
            }
        };
    };
}

/// The functions of the table, generic over the modality. Public for the macro only.
#[doc(hidden)]
pub mod shim {
    use std::any::Any;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use medcoss_abi::abi_stable::std_types::{RResult, RSlice, RStr, RString, RVec};
    use medcoss_abi::label_maps::encode;
    use medcoss_abi::message::{
        Description, Geometry, Keep, LabelMapError, LabelMapNote, LabelMaps, LabelMapsHeader, Open, SaveAssets,
        Synthesise, Synthesised,
    };
    use medcoss_abi::{
        DatasetHandle, FillBuffers, FillRequest, HostServices, NOT_A_TARGET, PluginError, PluginTable, SampleError,
        VIEW_PLAIN, VIEW_TRAIN, code, operation,
    };
    use serde::Serialize;

    use crate::label_map::LabelMap;
    use crate::mask_files::MaskFiles;
    use crate::{Dataset, Error, Modality, OpenRequest, Sample, Tokens, View, sample_id, sample_rng};

    /// The table of a modality.
    pub const fn table<M: Modality>() -> PluginTable {
        PluginTable {
            attach,
            describe: describe::<M>,
            invoke: invoke::<M>,
            open: open::<M>,
            query: query::<M>,
            fill: fill::<M>,
            close: close::<M>,
        }
    }

    /// String equality in a constant.
    pub const fn same(a: &str, b: &str) -> bool {
        let (a, b) = (a.as_bytes(), b.as_bytes());
        if a.len() != b.len() {
            return false;
        }
        let mut at = 0;
        while at < a.len() {
            if a[at] != b[at] {
                return false;
            }
            at += 1;
        }
        true
    }

    extern "C" fn attach(services: HostServices) {
        crate::log::attach(services);
    }

    extern "C" fn describe<M: Modality>() -> RResult<RString, PluginError> {
        contained(|| {
            let description = Description {
                id: M::ID.into(),
                version: M::VERSION.into(),
                summary: M::SUMMARY.into(),
                family: M::FAMILY.into(),
                geometry: M::geometry(&M::Options::default())?,
                reads: M::FILE_FORMATS.iter().map(|&kind| kind.into()).collect(),
                options: crate::options::schema::<M>(),
                renders: M::RENDERS,
                operations: operations::<M>(),
            };
            json(&description).map(RString::from)
        })
    }

    fn operations<M: Modality>() -> Vec<String> {
        let always = [
            operation::SYNTHESISE,
            operation::GEOMETRY,
            operation::IDS,
            operation::LABELS,
            operation::FINGERPRINT,
            operation::SAVE_ASSETS,
        ];
        let optional = [
            M::RENDERS.is_some().then_some(operation::RENDER),
            M::SAVES_SAMPLES.then_some(operation::KEEP),
            (!M::MASK_EXTENSIONS.is_empty()).then_some(operation::LABEL_MAPS),
        ];
        always.into_iter().chain(optional.into_iter().flatten()).map(String::from).collect()
    }

    extern "C" fn invoke<M: Modality>(name: RStr<'_>, body: RStr<'_>) -> RResult<RString, PluginError> {
        contained(|| match name.as_str() {
            operation::SYNTHESISE => {
                let request: Synthesise = parse(body.as_str().as_bytes(), "request")?;
                let made = M::synthesise(&request.folder, request.n_samples, request.seed)?;
                json(&made).map(RString::from)
            }
            other => Err(unknown::<M>(other)),
        })
    }

    extern "C" fn open<M: Modality>(body: RStr<'_>) -> RResult<DatasetHandle, PluginError> {
        contained(|| {
            let request: Open = parse(body.as_str().as_bytes(), "request")?;
            let options = crate::options::parse::<M>(request.options)?;
            let dataset =
                M::open(OpenRequest { base: request.base, data: request.data, options, assets: request.assets })?;
            Ok(DatasetHandle(Box::into_raw(Box::new(dataset)) as *const ()))
        })
    }

    extern "C" fn query<M: Modality>(
        handle: DatasetHandle,
        name: RStr<'_>,
        body: RSlice<'_, u8>,
    ) -> RResult<RVec<u8>, PluginError> {
        contained(|| {
            // SAFETY: the host passes a handle that `open` of this same table gave and that it has not closed.
            let dataset = unsafe { &*(handle.0 as *const M::Dataset) };
            let answer = match name.as_str() {
                operation::GEOMETRY => json(&dataset.geometry())?.into_bytes(),
                operation::IDS => {
                    let ids = (0..dataset.len()).map(|index| dataset.id(index)).collect();
                    json(&sample_id::within_limits(ids))?.into_bytes()
                }
                operation::LABELS => {
                    let labels: Vec<_> = (0..dataset.len()).map(|index| dataset.label(index)).collect();
                    json(&labels)?.into_bytes()
                }
                operation::FINGERPRINT => json(&dataset.fingerprint().hex())?.into_bytes(),
                operation::SAVE_ASSETS => {
                    let request: SaveAssets = parse(body.as_slice(), "request")?;
                    json(&dataset.save_assets(&request.folder)?)?.into_bytes()
                }
                operation::KEEP if M::SAVES_SAMPLES => {
                    let request: Keep = parse(body.as_slice(), "request")?;
                    json(&save_samples(dataset, &request)?)?.into_bytes()
                }
                operation::LABEL_MAPS if !M::MASK_EXTENSIONS.is_empty() => {
                    label_maps(dataset, M::MASK_EXTENSIONS, &parse(body.as_slice(), "request")?)?
                }
                operation::RENDER if M::RENDERS.is_some() => render(dataset, body.as_slice())?,
                other => return Err(unknown::<M>(other)),
            };
            Ok(answer.into())
        })
    }

    fn save_samples(dataset: &impl Dataset, request: &Keep) -> Result<Synthesised, Error> {
        dataset.save_samples(&existing(dataset, &request.indices)?, &request.folder)
    }

    fn existing(dataset: &impl Dataset, indices: &[u64]) -> Result<Vec<usize>, Error> {
        let n = dataset.len();
        let index = |&index: &u64| {
            let found = usize::try_from(index).ok().filter(|&index| index < n);
            found.ok_or_else(|| Error::bad_request(format!("sample {index} does not exist; there are {n}")))
        };
        indices.iter().map(index).collect()
    }

    /// A sample that has no label map does not take the others with it.
    fn label_maps(dataset: &impl Dataset, extensions: &[&str], request: &LabelMaps) -> Result<Vec<u8>, Error> {
        let indices = existing(dataset, &request.indices)?;
        let files = MaskFiles::find(request, extensions)?;
        let ids: Vec<String> = (0..dataset.len()).map(|index| dataset.file_id(index)).collect();
        let masks = files.of_all(ids.iter().map(String::as_str));
        let label_map = |&index: &usize| {
            let mask = masks[ids[index].as_str()].as_ref().map_err(Error::clone)?;
            catch_unwind(AssertUnwindSafe(|| dataset.label_map(index, mask)))
                .unwrap_or_else(|payload| Err(panicked(payload)))
        };
        let maps: Vec<Result<LabelMap, Error>> = indices.iter().map(label_map).collect();
        let shape = maps.iter().flatten().map(|map| map.shape().to_vec()).next();
        let header = LabelMapsHeader {
            // Without a single label map there is no shape to tell.
            shape: shape.unwrap_or_default(),
            samples: maps.iter().map(note).collect(),
        };
        if let Some(other) = maps.iter().flatten().find(|map| map.shape() != header.shape) {
            let (other, one) = (other.shape(), &header.shape);
            return Err(Error::bad_request(format!("label maps of {one:?} and {other:?} in one dataset")));
        }
        encode(&header, maps.iter().flatten().map(LabelMap::values))
            .map_err(|error| Error::bad_request(format!("answer: {error}")))
    }

    fn note(map: &Result<LabelMap, Error>) -> LabelMapNote {
        match map {
            Ok(map) => LabelMapNote { spacing_mm: map.spacing_mm().map(<[f64]>::to_vec), error: None },
            Err(error) => LabelMapNote {
                spacing_mm: None,
                error: Some(LabelMapError { code: error.code(), message: error.to_string() }),
            },
        }
    }

    fn render(dataset: &impl Dataset, body: &[u8]) -> Result<Vec<u8>, Error> {
        let (words, _) = body.as_chunks::<4>();
        let expected = match dataset.geometry() {
            Geometry::Continuous { grid, d_token, .. } => grid.iter().product::<usize>() * d_token,
            Geometry::Discrete { length, .. } => length,
        };
        if body.len() != 4 * expected {
            let found = body.len();
            return Err(Error::bad_request(format!("a sample has {expected} values of 4 bytes, not {found} bytes")));
        }
        match dataset.geometry() {
            Geometry::Continuous { .. } => {
                let tokens: Vec<f32> = words.iter().map(|&word| f32::from_le_bytes(word)).collect();
                dataset.render(Tokens::Continuous(&tokens))
            }
            Geometry::Discrete { .. } => {
                let ids: Vec<i32> = words.iter().map(|&word| i32::from_le_bytes(word)).collect();
                dataset.render(Tokens::Discrete(&ids))
            }
        }
    }

    extern "C" fn fill<M: Modality>(
        handle: DatasetHandle,
        request: FillRequest<'_>,
        buffers: FillBuffers<'_>,
    ) -> RResult<RVec<SampleError>, PluginError> {
        contained(|| {
            // SAFETY: as in `query`.
            let dataset = unsafe { &*(handle.0 as *const M::Dataset) };
            fill_samples(dataset, request, buffers)
        })
    }

    fn fill_samples(
        dataset: &impl Dataset,
        request: FillRequest<'_>,
        buffers: FillBuffers<'_>,
    ) -> Result<RVec<SampleError>, Error> {
        let view = match request.view {
            VIEW_PLAIN => View::Evaluation,
            VIEW_TRAIN => View::Training,
            other => return Err(Error::bad_request(format!("view {other} is neither {VIEW_PLAIN} nor {VIEW_TRAIN}"))),
        };
        let (indices, seeds) = (request.indices.as_slice(), request.seeds.as_slice());
        let n = indices.len();
        let FillBuffers { tokens, mask, ids, labels, lengths } = buffers;
        let (tokens, mask) = (tokens.into_mut_slice(), mask.into_mut_slice());
        let (ids, labels, lengths) = (ids.into_mut_slice(), labels.into_mut_slice(), lengths.into_mut_slice());
        let geometry = dataset.geometry();
        let sized = match &geometry {
            Geometry::Continuous { grid, d_token, .. } => {
                let n_tokens: usize = grid.iter().product();
                tokens.len() == n * n_tokens * d_token && mask.len() == n * n_tokens
            }
            Geometry::Discrete { length, .. } => {
                ids.len() == n * length && labels.len() == n * length && lengths.len() == n
            }
        };
        if !sized || seeds.len() != n {
            return Err(Error::bad_request(format!("the buffers do not fit {n} samples of {geometry:?}")));
        }

        let mut errors = RVec::new();
        for (slot, (&index, &seed)) in indices.iter().zip(seeds).enumerate() {
            let sample = match &geometry {
                Geometry::Continuous { grid, d_token, .. } => {
                    let n_tokens: usize = grid.iter().product();
                    let tokens = &mut tokens[slot * n_tokens * d_token..][..n_tokens * d_token];
                    let mask = &mut mask[slot * n_tokens..][..n_tokens];
                    tokens.fill(0.0);
                    mask.fill(0);
                    Sample::Continuous { tokens, mask }
                }
                Geometry::Discrete { length, padding_id, .. } => {
                    let ids = &mut ids[slot * length..][..*length];
                    let labels = &mut labels[slot * length..][..*length];
                    ids.fill(*padding_id);
                    labels.fill(NOT_A_TARGET);
                    Sample::Discrete { ids, labels, length: &mut lengths[slot] }
                }
            };
            let loaded = catch_unwind(AssertUnwindSafe(|| {
                let index = usize::try_from(index).ok().filter(|&index| index < dataset.len()).ok_or_else(|| {
                    Error::bad_request(format!("sample {index} does not exist; there are {}", dataset.len()))
                })?;
                dataset.load(index, view, &mut sample_rng(seed), sample)
            }))
            .unwrap_or_else(|payload| Err(panicked(payload)));
            if let Err(error) = loaded {
                errors.push(SampleError { slot: slot as u64, code: error.code(), message: error.to_string().into() });
            }
        }
        Ok(errors)
    }

    extern "C" fn close<M: Modality>(handle: DatasetHandle) {
        let _ = catch_unwind(AssertUnwindSafe(|| {
            // SAFETY: the host passes a handle that `open` gave, once, and uses it no more.
            drop(unsafe { Box::from_raw(handle.0 as *mut M::Dataset) });
        }))
        .map_err(panicked);
    }

    fn contained<T>(call: impl FnOnce() -> Result<T, Error>) -> RResult<T, PluginError> {
        catch_unwind(AssertUnwindSafe(call))
            .unwrap_or_else(|payload| Err(panicked(payload)))
            .map_err(Error::into_abi)
            .into()
    }

    fn panicked(payload: Box<dyn Any + Send>) -> Error {
        let text = payload
            .downcast_ref::<&str>()
            .map(|text| text.to_string())
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "no message".into());
        // A payload may panic when it is dropped; it is small, and a panicking plugin is on its way out.
        std::mem::forget(payload);
        Error::new(code::PANIC, format!("the plugin panicked: {text}"))
    }

    fn unknown<M: Modality>(name: &str) -> Error {
        Error::new(code::UNKNOWN_OPERATION, format!("plugin {} knows no operation {name:?}", M::ID))
    }

    fn parse<T: serde::de::DeserializeOwned>(body: &[u8], what: &str) -> Result<T, Error> {
        serde_json::from_slice(body).map_err(|error| Error::bad_request(format!("{what}: {error}")))
    }

    fn json(value: &impl Serialize) -> Result<String, Error> {
        serde_json::to_string(value).map_err(|error| Error::bad_request(format!("answer: {error}")))
    }
}
