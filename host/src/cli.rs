//! The command line: its commands, and the end of the program.

use std::ffi::OsString;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use anyhow::Context;
use clap::{ArgAction, Parser, Subcommand};

use crate::commands::{
    bench, compare, data_check, demo, embed, eval, export, finetune, import, init, label_efficiency, plan,
    plugin_check, plugin_inspect, plugin_list, plugin_new, plugin_pack, plugin_preview, plugin_rescan, plugin_trust,
    predict, pretrain, recipes, report, resume, score, show, stage_add, stage_remove, synth,
};
use crate::failure::Failure;
use crate::{messages, open_progress, terminal};

/// Exit code for an invalid command line, which the user can fix.
const MISTYPED: u8 = 1;
/// Exit code for a fault in this program.
const PANICKED: u8 = 2;

/// Continual self-supervised pre-training over medical modalities, each of which is a plugin.
#[derive(Debug, Parser)]
#[command(
    name = "medcoss",
    version,
    arg_required_else_help = true,
    after_help = "Exit codes: 0 done, 1 an error that you can fix, 2 a failure inside of medcoss or a plugin, 130 stopped by Ctrl-C."
)]
struct Cli {
    /// Show more messages: once for information, twice for everything
    #[arg(short, long, global = true, action = ArgAction::Count)]
    verbose: u8,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Demo),
    Init(init::Init),
    Plan(plan::Plan),
    Pretrain(pretrain::Pretrain),
    Resume(resume::Resume),
    /// Add stages to a run, and remove the last one
    #[command(subcommand, arg_required_else_help = true)]
    Stage(StageCommand),
    Show(show::Show),
    Import(import::ImportCommand),
    Export(export::Export),
    Embed(embed::Embed),
    Eval(eval::Eval),
    Finetune(finetune::Finetune),
    Predict(predict::Predict),
    Score(score::Score),
    Recipes(recipes::Recipes),
    LabelEfficiency(label_efficiency::LabelEfficiencyCommand),
    Compare(compare::Compare),
    Report(report::Report),
    /// Examine data before the training
    #[command(subcommand, arg_required_else_help = true)]
    Data(DataCommand),
    /// Find and examine modality plugins
    #[command(subcommand, arg_required_else_help = true)]
    Plugin(PluginCommand),
    Synth(synth::Synth),
    /// Measure the speed of parts of the program on this machine
    #[command(subcommand, arg_required_else_help = true)]
    Bench(bench::Bench),
}

impl Command {
    /// Whether the command computes with a model. The other commands start no threads for computing.
    fn computes(&self) -> bool {
        use Command::{Bench, Compare, Demo, Embed, Eval, Finetune, Plan, Predict, Pretrain, Resume, Score, Stage};
        matches!(
            self,
            Demo(_)
                | Plan(_)
                | Pretrain(_)
                | Resume(_)
                | Stage(_)
                | Embed(_)
                | Eval(_)
                | Finetune(_)
                | Predict(_)
                | Score(_)
                | Compare(_)
                | Bench(_)
        )
    }
}

#[derive(Debug, Subcommand)]
enum StageCommand {
    Add(stage_add::StageAdd),
    Remove(stage_remove::StageRemove),
}

#[derive(Debug, Subcommand)]
enum DataCommand {
    Check(data_check::DataCheck),
}

#[derive(Debug, Subcommand)]
enum PluginCommand {
    List(plugin_list::List),
    Check(plugin_check::Check),
    Inspect(plugin_inspect::Inspect),
    New(plugin_new::New),
    Pack(plugin_pack::Pack),
    Preview(plugin_preview::PreviewCommand),
    Rescan(plugin_rescan::Rescan),
    Trust(plugin_trust::Trust),
}

/// Runs the command of the arguments (the program's name comes first). Results go to standard output, all other output
/// to standard error.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    if let Some(code) = plugin_check::as_child(&arguments) {
        return code;
    }
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version arrive here too.
            terminal::write_usage(&error, &arguments);
            return if error.use_stderr() { ExitCode::from(MISTYPED) } else { ExitCode::SUCCESS };
        }
    };
    messages::install(cli.verbose);
    open_progress::show();
    match catch_unwind(AssertUnwindSafe(|| execute(&cli.command))) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        // Rust has shown the message.
        Err(_) => {
            terminal::write_error(
                "error: medcoss has a fault, see the message above\nhint: report it; what was written before is complete and can be continued\n",
            );
            ExitCode::from(PANICKED)
        }
        Ok(Err(failure)) => {
            terminal::write_error(&failure.report());
            failure.exit_code()
        }
    }
}

fn execute(command: &Command) -> Result<(), Failure> {
    if command.computes() {
        // This thread computes with those of the pool instead of sleeping while they work: a product then wakes one thread less.
        let started = rayon::ThreadPoolBuilder::new().use_current_thread().build_global();
        let message =
            "the compute threads, one for each core, cannot be started\nhint: RAYON_NUM_THREADS sets their number";
        started.context(message).map_err(Failure::user)?;
    }
    match command {
        Command::Demo(demo) => demo.run(),
        Command::Init(init) => init.run(),
        Command::Plan(plan) => plan.run(),
        Command::Pretrain(pretrain) => pretrain.run(),
        Command::Resume(resume) => resume.run(),
        Command::Stage(StageCommand::Add(add)) => add.run(),
        Command::Stage(StageCommand::Remove(remove)) => remove.run(),
        Command::Show(show) => show.run(),
        Command::Report(report) => report.run(),
        Command::Import(import) => import.run(),
        Command::Export(export) => export.run(),
        Command::Embed(embed) => embed.run(),
        Command::Eval(eval) => eval.run(),
        Command::Finetune(finetune) => finetune.run(),
        Command::Predict(predict) => predict.run(),
        Command::Score(score) => score.run(),
        Command::Recipes(recipes) => recipes.run(),
        Command::LabelEfficiency(study) => study.run(),
        Command::Compare(compare) => compare.run(),
        Command::Data(DataCommand::Check(check)) => check.run(),
        Command::Plugin(PluginCommand::List(list)) => list.run(),
        Command::Plugin(PluginCommand::Check(check)) => check.run(),
        Command::Plugin(PluginCommand::Inspect(inspect)) => inspect.run(),
        Command::Plugin(PluginCommand::New(new)) => new.run(),
        Command::Plugin(PluginCommand::Pack(pack)) => pack.run(),
        Command::Plugin(PluginCommand::Preview(preview)) => preview.run(),
        Command::Plugin(PluginCommand::Rescan(rescan)) => rescan.run(),
        Command::Plugin(PluginCommand::Trust(trust)) => trust.run(),
        Command::Synth(synth) => synth.run(),
        Command::Bench(bench) => bench.run(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_valid() {
        Cli::command().debug_assert();
    }

    /// Commands in the `sh` blocks of the documents, split into words.
    fn documented() -> Vec<Vec<String>> {
        let template = include_str!("../../sdk/template/README.md.txt").replace("{{set}}", "--set 'size=64' ");
        let template = template.replace("{{set_options}}", "--set 'options.size=64' ").replace("{{id}}", "mine");
        let texts = [include_str!("../../README.md"), include_str!("../../sdk/GUIDE.md"), &template];
        let blocks = texts.iter().flat_map(|text| text.split("```sh\n").skip(1)).map(|rest| rest.split("```").next());
        let lines = blocks.flatten().flat_map(str::lines).filter(|line| line.starts_with("medcoss "));
        let words = |line: &str| line.split_whitespace().map(|word| word.trim_matches('\'').to_string()).collect();
        lines.map(|line| words(line.split(" #").next().unwrap_or(line))).collect()
    }

    #[test]
    fn every_command_of_the_documents_is_understood() {
        let commands = documented();
        assert!(commands.len() > 15, "{commands:?}");
        for words in commands {
            let message = Cli::try_parse_from(&words).err().map(|error| error.to_string());
            assert!(message.is_none(), "{words:?}: {message:?}");
        }
    }

    #[test]
    fn every_command_has_help_and_examples() {
        fn look(command: &clap::Command, path: &str) {
            assert!(command.get_about().is_some(), "{path} says nothing of itself");
            let mut leaves = command.get_subcommands().filter(|command| command.get_name() != "help").peekable();
            if leaves.peek().is_none() {
                let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
                assert!(after.starts_with("Examples:\n"), "{path} has no examples");
                assert!(command.get_long_about().is_some(), "{path} has no long help");
            }
            for leaf in leaves {
                look(leaf, &format!("{path} {}", leaf.get_name()));
            }
        }
        look(&Cli::command(), "medcoss");
    }
}
