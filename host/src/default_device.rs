//! The device on which Burn restores an optimiser, before its state goes to the device of the run.

/// Makes it the processor. Otherwise a build for a GPU could not resume a run on a machine without one.
#[allow(unsafe_code)]
pub(crate) fn choose_the_processor() {
    // SAFETY: called first of all, when no other thread runs yet that could read the environment.
    unsafe { std::env::set_var("BURN_DEVICE", "flex") };
}
