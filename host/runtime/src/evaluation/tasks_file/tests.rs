//! Tasks files that are read, and those that are refused.

use super::*;

const TASK: &str = "[[task]]\nname = \"a\"\nmodality = \"gait\"\ndata = \"gait\"\nprotocol = \"knn\"\n";

fn read(text: &str) -> Result<TasksFile> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("tasks.toml");
    std::fs::write(&path, text)?;
    TasksFile::read(&path, &[])
}

#[test]
fn defaults_are_those_of_the_protocols() {
    let file = read(TASK).unwrap();
    let task = &file.tasks[0];
    assert_eq!(task.protocol(), Protocol::Knn(NearestNeighbours { k: 20, temperature: 0.07 }));
    assert_eq!((task.primary_metric(), task.split.test(), file.stem.as_str()), (Metric::Accuracy, 0.3, "tasks"));
    let task = &read(&TASK.replace("\"knn\"", "\"linear\"\nl2 = 0.1\nauc = \"one-vs-rest\"")).unwrap().tasks[0];
    assert_eq!(task.protocol(), Protocol::Linear(LinearProbe { l2: 0.1, ..LinearProbe::default() }));
    assert_eq!((task.primary_metric(), task.auc()), (Metric::Auc, MultiClassAuc::OneVersusRest));
}

#[test]
fn the_tasks_that_come_with_the_project_can_be_read() {
    let file =
        TasksFile::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/real-small-tasks.toml"), &[]).unwrap();
    assert_eq!((file.tasks.len(), file.stem.as_str()), (9, "real-small-tasks"));
}

#[test]
fn large_files_and_folders_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tasks.toml");
    std::fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
    let error = format!("{:#}", TasksFile::read(&path, &[]).unwrap_err());
    assert!(error.contains("tasks.toml") && error.ends_with("it has more than 1048576 bytes"), "{error}");
    let error = format!("{:#}", TasksFile::read(folder.path(), &[]).unwrap_err());
    assert!(error.ends_with("it is no file"), "{error}");
}

#[test]
fn invalid_entries_are_named() {
    let more = |line: &str| format!("{TASK}{line}\n");
    for (text, expected) in [
        (String::new(), &["no [[task]]"][..]),
        (TASK.replace("knn", "knnn"), &["knnn", "did you mean knn?"]),
        (more("kk = 3"), &["kk", "line 6"]),
        (more("temprature = 3"), &["did you mean temperature?"]),
        (more("k = 0"), &["k is 0", "task a"]),
        (more("l2 = 1.0"), &["l2 is no setting of protocol knn"]),
        (more("metric = \"map\""), &["metric map is not one of knn", "accuracy, macro_f1, auc"]),
        (more("split = { test = 1.0 }"), &["split.test is 1"]),
        (more("split = { column = \"part\" }"), &["the labels come from no table"]),
        (more("split = { tset = 0.2 }"), &["did you mean test?"]),
        (more("labels = \"plugins\""), &["plugins", "\"plugin\""]),
        (more("labels = { tabel = \"x.csv\" }"), &["did you mean table?"]),
        (more("labels = { table = \"x.csv\", key = \"k\" }"), &["labels.label is missing"]),
        (more("labels = { table = \"x.csv\", entry = true }"), &["table and entry"]),
        (more("labels = { pattern = '(' }"), &["labels.pattern"]),
        (more("labels = { pattern = 'a' }"), &["one group in parentheses"]),
        (more("labels = { masks = \"m\" }"), &["size of its mask, which is no class", "quantiles"]),
        (more("labels = { classes = \"foreground\", entry = true }"), &["labels.classes belongs to masks"]),
        (
            more("labels = { masks = \"m\", quantiles = 2, classes = [0] }"),
            &["labels without 0, which is the background"],
        ),
        (more("labels = { entry = true, quantiles = 2 }"), &["belong to a table or to masks"]),
        (TASK.replace("\"knn\"", "\"finetune\"\nrefit = false"), &["refit is no setting of protocol finetune"]),
        (TASK.replace("\"knn\"", "\"masked-lm\"\nsplit = { test = 0.2 }"), &["neither labels nor a split"]),
        (more("hidden = 3"), &["hidden is no setting of protocol knn"]),
        (TASK.replace("knn", "segmentation"), &["needs masks", "hint: set labels"]),
        (
            format!("{}labels = {{ masks = \"m\", quantiles = 2 }}\n", TASK.replace("knn", "segmentation")),
            &["predicts the masks"],
        ),
        (more("max_samples = 3"), &["max_samples is 3"]),
        (format!("{TASK}{TASK}"), &["two tasks with the name a"]),
    ] {
        let error = read(&text).map(|_| ()).unwrap_err();
        let message = format!("{error:#}");
        assert!(expected.iter().all(|part| message.contains(part)), "{text}\n{message}");
    }
}
