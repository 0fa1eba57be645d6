//! Faults of the plugin, and the one that is set.

use std::cell::Cell;
use std::sync::RwLock;

/// A fault of the plugin, named after the rule that has to notice it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    None,
    DescriptionIsGibberish,
    DescriptionChanges,
    BadFamily,
    BadVersion,
    NoSummary,
    NoReads,
    LacksAnOperation,
    RendersWithoutSaying,
    SizesOverflow,
    AllMasked,
    OptionWithoutDefault,
    OptionWithoutDescription,
    DefaultOutOfRange,
    RequiredOption,
    SynthesisePanics,
    SynthesisesNothing,
    SynthesisedIsElsewhere,
    SynthesisesTooFew,
    FilesOfTheMoment,
    FilesWithoutSeed,
    DefaultsRefused,
    OtherGeometry,
    PresetOfNothing,
    PresetOfAnotherType,
    PresetRefused,
    UnknownOptionAccepted,
    UnknownOptionPanics,
    OpensNothing,
    LoadPanics,
    LoadFails,
    NullHandle,
    SlotOutOfRange,
    MessageNotUtf8,
    DoubleId,
    AbsoluteId,
    ClimbingId,
    UnstableIds,
    EntryOutOfRange,
    EmptyGroup,
    NegativeWeight,
    MetadataOfTables,
    PagesTooLarge,
    InfoChanges,
    StrangeFileForgotten,
    StrangeFileUsed,
    LeftOutTwice,
    LeftOutWithoutReason,
    AccountUnknownLater,
    SurveyDeniesItsOwn,
    SurveyOutOfRange,
    SurveyProposesNothing,
    FingerprintOfWords,
    FingerprintOfTheMoment,
    FingerprintOfNothing,
    WritesPastTheEnd,
    WritesBeforeTheBeginning,
    WritesMaskPastTheEnd,
    LeavesAValue,
    LeavesPadding,
    NotANumber,
    Infinite,
    MaskTwo,
    MaskTooFew,
    MaskTooManySometimes,
    LengthTooLarge,
    WordsBehindTheLength,
    IdOutOfRange,
    NegativeId,
    TargetOutOfRange,
    TargetInPadding,
    NoTargets,
    PlainIsMasked,
    PlainHasTargets,
    PlainWithChance,
    CountsCalls,
    PlaceInBatch,
    SizeOfBatch,
    ByThread,
    SameMasks,
    ShareAStatic,
    AssetsElsewhere,
    AssetsChangeSamples,
    KeepsRounded,
    KeepsBackwards,
    KeepsAbsolute,
    MasksOfOtherShape,
    MasksTooFew,
    MasksLackALabel,
    MasksOfTheMoment,
    MasksWithoutSpacing,
    MasksOfNothing,
    MasksOfNoSample,
    MasksPanic,
    OneMaskPanics,
    GridsTooFew,
    GridWithoutVoxels,
    GridsOfTheMoment,
    GridOfNoSample,
    GridElsewhere,
    NoImage,
    HalfAPicture,
    RendersAnything,
    AnswersAnything,
    OtherCodeForUnknown,
    MissingPathAccepted,
    MissingPathPanics,
    BadIndexDelivered,
    BadIndexPanics,
    GibberishAccepted,
    GibberishOtherCode,
    ErrorWithoutJson,
    EmptyDelivered,
    EmptyPanics,
    TruncatedPanics,
    TruncatedNotANumber,
    ChangedPanics,
    ChangedUnknownCode,
    FamilyOfImages,
    RequiresUndeclared,
    RangeIgnored,
    RangeWithoutName,
    OrderOfNothing,
    ValidityTwo,
    NothingHasValues,
    TargetNotANumber,
    CoordinateOutOfRange,
    CoordinateOfNothing,
    AffineOfNoVolume,
    ExtrasChangeMasks,
    SkipsAtRandom,
    SkippedIsEmpty,
    UnknownExtraRefused,
    UnknownExtraWritten,
    UnknownViewDelivered,
    UnknownFieldRefused,
    RendersHidden,
    LeaksMemory,
    LeavesThreads,
    LeavesFiles,
    Slow,
}

static FAULT: RwLock<Fault> = RwLock::new(Fault::None);

thread_local! {
    static IS_MAIN: Cell<bool> = const { Cell::new(false) };
}

/// Sets the fault from now on; on this thread [`Fault::ByThread`] has no effect.
pub fn set(fault: Fault) {
    IS_MAIN.set(true);
    *FAULT.write().unwrap() = fault;
}

pub fn is(fault: Fault) -> bool {
    *FAULT.read().unwrap() == fault
}

/// The fault that is set.
pub fn current() -> Fault {
    *FAULT.read().unwrap()
}

/// Whether this thread has set the fault.
pub fn is_main_thread() -> bool {
    IS_MAIN.get()
}
