//! On-demand jobs of AWS Backup: each begun with a token that is the same for ever, watched through its states, and its
//! recovery point looked at, too. One job works on a resource at a time: who finds another there joins it.
//!
//! Source of states: AWS Backup API, DescribeBackupJob and DescribeRecoveryPoint.

mod judge;

pub(super) use judge::{Judged, judge_job, judge_point};

use super::super::turn::Weighed;
use super::many::{Many, One, Way};
use super::{Asking, marks};
use crate::model::{AwsBackup, CloudCall, Id, Plan, Protected, Standing};
use jiff::Timestamp;

/// So often a job is begun where another one was in the way.
const ATTEMPTS: u32 = 5;

/// What AWS says of a resource that another job works on. Sources: StartBackupJob's and DescribeBackupJob's messages.
const ANOTHER: &str = "running job for the same resource";

#[derive(Debug)]
enum Stage {
    Start,
    /// Another job works on the resource: which?
    Join,
    Watch(String),
    /// The job is done: is what it made there?
    Point(String),
}

#[derive(Debug)]
pub(super) struct Order {
    of: AwsBackup,
    key: Id,
    tags: Vec<(String, String)>,
}

/// One resource's job.
#[derive(Debug)]
struct Job {
    of: Protected,
    stage: Stage,
    joined: bool,
    attempt: u32,
}

/// The machine of the step.
pub(super) fn start(
    plan: &Plan,
    key: &Id,
    of: &AwsBackup,
    until: Timestamp,
    now: Timestamp,
) -> Box<dyn Asking> {
    let order = Order { of: of.clone(), key: key.clone(), tags: marks(plan).to_vec() };
    Box::new(Many::<Job>::new(&of.sought, order, until, now))
}

impl Way for Job {
    type Of = Order;
    const ABREAST: usize = 8;

    fn of(of: Protected) -> Result<Job, String> {
        Ok(Job { of, stage: Stage::Start, joined: false, attempt: 1 })
    }

    fn name(&self) -> String {
        self.of.to_string()
    }

    fn ask(&self, Order { of, key, tags }: &Order) -> CloudCall {
        let vault = || of.vault.clone();
        match &self.stage {
            Stage::Start => CloudCall::StartBackup {
                vault: vault(),
                resource: self.of.clone(),
                token: self.token(key),
                start_within: of.start_within,
                complete_within: of.complete_within,
                delete_after_days: of.delete_after_days,
                tags: tags.clone(),
            },
            Stage::Join => CloudCall::RunningBackup { vault: vault(), resource: self.of.clone() },
            Stage::Watch(id) => CloudCall::BackupJob { id: id.clone() },
            Stage::Point(arn) => CloudCall::RecoveryPoint { vault: vault(), arn: arn.clone() },
        }
    }

    fn answer(one: &mut One<Job>, of: &Order, weighed: Weighed, now: Timestamp) {
        match (&one.way.stage, weighed) {
            (_, Weighed::Again(why)) => one.last = why,
            (_, Weighed::Said(said)) => {
                one.said(serde_json::from_str(&said).unwrap_or_default(), now);
            }
            (Stage::Start, Weighed::Changed(_)) => one.go(Stage::Join, now),
            (Stage::Join, Weighed::Gone) => one.anew(now),
            (Stage::Start, Weighed::Gone) => {
                let vault = of.of.vault.vault.as_deref().unwrap_or("of the configuration");
                one.over = Some(Err(format!("the vault `{vault}` or the resource is not there")));
            }
            (_, Weighed::Gone) => {
                one.over = Some(Err("AWS does not know of it any more".into()));
            }
            (_, Weighed::Never(why) | Weighed::Changed(why)) => one.over = Some(Err(why)),
        }
    }
}

impl Job {
    /// The same for ever, for that resource and that attempt: its whole name counts, not how it is shown.
    fn token(&self, key: &Id) -> String {
        let (of, attempt) = (format!("{:?}", self.of), self.attempt.to_string());
        Id::of(&["backup", key.as_str(), &of, &attempt]).short(32).to_owned()
    }
}

impl One<Job> {
    fn go(&mut self, stage: Stage, now: Timestamp) {
        self.way.stage = stage;
        self.turn.on(now);
    }

    /// The other job has ended in between: ours may begin, after a while, and not for ever.
    fn anew(&mut self, now: Timestamp) {
        if self.way.attempt >= ATTEMPTS {
            let why = format!("another job was in the way: {}", self.last);
            return self.over = Some(Err(why));
        }
        self.way.attempt += 1;
        self.way.stage = Stage::Start;
        self.turn.later(now);
    }

    fn said(&mut self, standing: Standing, now: Timestamp) {
        let Standing { id, state, message, recovery_point, .. } = standing;
        let told = if message.is_empty() { state.clone() } else { format!("{state}: {message}") };
        match &self.way.stage {
            Stage::Start => self.go(Stage::Watch(id), now),
            Stage::Join => {
                self.way.joined = true;
                self.go(Stage::Watch(id), now);
            }
            Stage::Watch(_) => match (judge_job(&state), recovery_point) {
                (Judged::Good, Some(point)) => self.go(Stage::Point(point), now),
                (Judged::Good, None) => {
                    self.over = Some(Err("COMPLETED without a recovery point".into()));
                }
                // It says so minutes later, and not when it is asked.
                (Judged::Bad, _) if message.contains(ANOTHER) && !self.way.joined => {
                    self.go(Stage::Join, now);
                }
                (Judged::Bad, _) => self.over = Some(Err(told)),
                (Judged::Running, _) => {
                    self.last = told;
                    self.turn.later(now);
                }
            },
            Stage::Point(point) => match judge_point(&state) {
                Judged::Good => {
                    let how = if self.way.joined { " (of a job that was there)" } else { "" };
                    let point = point.rsplit(':').next().unwrap_or(point);
                    self.over = Some(Ok(format!("{} as {point}{how}", self.way.of)));
                }
                Judged::Bad => self.over = Some(Err(format!("its recovery point is {told}"))),
                Judged::Running => {
                    self.last = format!("its recovery point is {told}");
                    self.turn.later(now);
                }
            },
        }
    }
}
