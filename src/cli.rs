//! The command line: one file per command. The only place that prints.
//!
//! Exit 0: good. 1: the answer is no. 64: bad usage or configuration.

mod agent;
mod check;
mod client;
mod demo;
mod diagnose;
mod explain;
mod fmt;
mod import;
mod incidents;
mod letters;
mod logs;
mod maintenance;
mod moving;
mod oncall;
mod operate;
mod progress;
mod rbac;
mod replay;
mod rulesets;
mod run;
mod schedules;
mod send;
mod simulate;
mod status;
mod test;
mod words;

use clap::{CommandFactory, Parser, Subcommand};
use std::{error::Error, io::Write, process::ExitCode};

/// Reliability and remediation for GPU clusters on Kubernetes and AWS.
#[derive(Debug, Parser)]
#[command(name = "medevac", version, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon.
    Run(Box<run::Args>),
    /// Watch one node's instance metadata and tell the daemon. One per node.
    Agent(agent::Args),
    /// Run the whole daemon against a practice cluster and watch what it does.
    Demo(demo::Args),
    /// Check rule files: every fault at once, with its place.
    Check(check::Args),
    /// Print the JSON Schema of rule files or of scenarios, for editors.
    Schema {
        #[arg(value_enum, default_value = "rules")]
        of: SchemaOf,
    },
    /// Play scenarios: the whole daemon in a simulated cluster, on virtual time, with faults.
    Simulate(simulate::Args),
    /// Bring rule files into form; comments stay.
    Fmt(fmt::Args),
    /// Turn the rules of other tools into rule files.
    Import(import::Args),
    /// Run the tests that stand beside rules.
    Test(test::Args),
    /// Why: what every rule makes of one event, clause by clause.
    Explain(Box<explain::Args>),
    /// Send a log through other rules, and say what would have been different.
    Replay(replay::Args),
    /// What the rules that only observe would have done, had they acted.
    Observed(replay::Observed),
    /// Post an event or an Alertmanager body, and print what became of it.
    Send(send::Args),
    /// List incidents, or show one with its whole causal chain.
    Incidents(incidents::Args),
    /// Acknowledge an incident: the calling stops until the acknowledgement expires.
    Ack(incidents::Answer),
    /// Put an incident off: the calling stops for a time, then it starts over.
    Snooze(incidents::Snooze),
    /// Resolve an incident.
    Resolve(incidents::Answer),
    /// Who is on call, at a moment or for some time from then on.
    Oncall(oncall::Args),
    /// How everything stands: the active replica, lag, stuck remediations. Exit 1 where a person should look.
    Status(status::Args),
    /// Who holds leave from which guard, what has tripped, what is paused.
    Guards(operate::Args),
    /// What recurs: when each schedule ran, and runs next.
    Schedules(schedules::Args),
    /// Keep the robot still for a while: everything, a tenant, a pool or a rule.
    Pause(operate::Pause),
    /// End a pause.
    Resume(operate::Resume),
    /// Planned work on nodes: empty them a few at a time, stop at the first that fails; open them again.
    Maintenance(maintenance::Args),
    /// What is wrong with something: findings with evidence and what to do. Changes nothing, needs no daemon.
    Diagnose(diagnose::Args),
    /// What arrived and could not be used: list, show, requeue, drop.
    DeadLetters(letters::Args),
    /// Move the log between an embedded one and NATS.
    Log(moving::Args),
    /// The least rights that rules need: RBAC manifests, or a policy of AWS IAM.
    Rbac(rbac::Args),
    /// Print completions for a shell.
    Completions { shell: clap_complete::Shell },
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum SchemaOf {
    Rules,
    Scenario,
}

/// How a command ended.
#[derive(Debug)]
pub enum Exit {
    Good,
    /// The answer is no; it has been printed.
    No,
    /// Bad usage or configuration: what, and what to do.
    Usage(String),
    /// Something else went wrong.
    Failed(String),
}

impl Exit {
    /// The error with its causes, once each.
    pub fn from_error(error: &dyn Error) -> Exit {
        Exit::Failed(crate::model::chain(error))
    }

    /// The same, with what it is about.
    fn about(self, what: &str) -> Exit {
        match self {
            Exit::Usage(why) => Exit::Usage(format!("{what}: {why}")),
            Exit::Failed(why) => Exit::Failed(format!("{what}: {why}")),
            other => other,
        }
    }

    pub fn code(self) -> ExitCode {
        match self {
            Exit::Good => ExitCode::SUCCESS,
            Exit::No => ExitCode::from(1),
            Exit::Usage(why) => {
                words::complain(&why);
                ExitCode::from(64)
            }
            Exit::Failed(why) => {
                words::complain(&why);
                ExitCode::from(1)
            }
        }
    }
}

/// Prints what clap has to say: help goes well, a bad flag is bad usage.
pub fn usage(error: &clap::Error) -> ExitCode {
    if error.print().is_err() {
        return ExitCode::from(64);
    }
    if error.use_stderr() { ExitCode::from(64) } else { ExitCode::SUCCESS }
}

/// The agent alone: reading its flags does not bring in what all the other commands would know.
#[derive(Debug, Parser)]
#[command(name = "medevac agent", version)]
struct Small {
    #[command(flatten)]
    args: agent::Args,
}

impl Cli {
    /// Reads the flags of this process.
    ///
    /// # Errors
    /// What is wrong with them, or the help that was asked for.
    pub fn read() -> Result<Cli, clap::Error> {
        let mut words = std::env::args_os();
        if std::env::args_os().nth(1).is_some_and(|word| word == "agent") {
            words.next();
            let small = Small::try_parse_from(words)?;
            return Ok(Cli { command: Command::Agent(small.args) });
        }
        Cli::try_parse_from(words)
    }

    /// Whether the command is to use as little as it can: one thread is enough for it.
    pub fn is_small(&self) -> bool {
        matches!(self.command, Command::Agent(_))
    }

    /// Runs the command that was asked for.
    pub async fn run(self) -> Exit {
        match self.command {
            Command::Run(args) => Box::pin(run::run(*args)).await,
            Command::Agent(args) => agent::run(args).await,
            Command::Demo(args) => demo::run(args).await,
            Command::Check(args) => check::run(&args),
            Command::Schema { of } => {
                let schema = match of {
                    SchemaOf::Rules => check::schema(),
                    SchemaOf::Scenario => crate::simulation::scenario::json_schema(),
                };
                words::say(&serde_json::to_string_pretty(&schema).unwrap_or_default());
                Exit::Good
            }
            // A run is a runtime of its own: not within this one.
            Command::Simulate(args) => {
                let run = tokio::task::spawn_blocking(move || simulate::run(&args));
                run.await.unwrap_or_else(|error| Exit::from_error(&error))
            }
            Command::Test(args) => {
                let run = tokio::task::spawn_blocking(move || test::run(&args));
                run.await.unwrap_or_else(|error| Exit::from_error(&error))
            }
            Command::Fmt(args) => fmt::run(&args),
            Command::Import(args) => import::run(&args),
            Command::Explain(args) => explain::run(*args).await,
            Command::Replay(args) => replay::run(args).await,
            Command::Observed(args) => replay::observed(args).await,
            Command::Send(args) => send::run(args).await,
            Command::Incidents(args) => incidents::run(args).await,
            Command::Ack(answer) => incidents::answer("ack", answer).await,
            Command::Snooze(args) => incidents::snooze(args).await,
            Command::Oncall(args) => oncall::run(args).await,
            Command::Resolve(answer) => incidents::answer("resolve", answer).await,
            Command::Status(args) => status::run(args).await,
            Command::Guards(args) => operate::guards(args).await,
            Command::Schedules(args) => schedules::run(args).await,
            Command::Pause(args) => operate::pause(args).await,
            Command::Resume(args) => operate::resume(args).await,
            Command::Maintenance(args) => maintenance::run(args).await,
            Command::Rbac(args) => rbac::run(&args),
            Command::Diagnose(args) => diagnose::run(args).await,
            Command::DeadLetters(args) => letters::run(args).await,
            Command::Log(args) => moving::run(args).await,
            Command::Completions { shell } => {
                let mut out = vec![];
                clap_complete::generate(shell, &mut Cli::command(), "medevac", &mut out);
                match std::io::stdout().write_all(&out) {
                    Ok(()) => Exit::Good,
                    Err(error) => Exit::from_error(&error),
                }
            }
        }
    }
}
