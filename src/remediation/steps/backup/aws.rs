//! On-demand jobs of AWS Backup: each begun with a token that is the same for ever, watched through its states, and its
//! recovery point looked at, too. One job works on a resource at a time: who finds another there joins it.
//!
//! Source of states: AWS Backup API, DescribeBackupJob and DescribeRecoveryPoint.

mod judge;

pub(super) use judge::{Judged, judge_job, judge_point};

use super::super::super::saga::Work;
use super::super::Status;
use super::Asking;
use super::find::Find;
use super::turn::{Turn, Weighed};
use crate::model::{Answer, AwsBackup, CloudCall, Id, Plan, Protected, Standing, Vault};
use jiff::Timestamp;

/// Jobs asked about at the same time.
const ABREAST: usize = 8;

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
    Over(Result<String, String>),
}

/// One resource's job.
#[derive(Debug)]
struct Job {
    of: Protected,
    stage: Stage,
    turn: Turn,
    joined: bool,
    attempt: u32,
    last: String,
}

#[derive(Debug)]
pub(super) struct Jobs {
    of: AwsBackup,
    key: Id,
    tags: [(String, String); 2],
    find: Find,
    jobs: Vec<Job>,
    failed: Option<String>,
    until: Timestamp,
}

impl Jobs {
    pub(super) fn new(
        plan: &Plan,
        key: &Id,
        of: &AwsBackup,
        until: Timestamp,
        now: Timestamp,
    ) -> Jobs {
        let tag = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        Jobs {
            of: of.clone(),
            key: key.clone(),
            tags: [
                tag("medevac.dev/incident", &plan.incident),
                tag("medevac.dev/rule", &plan.rule),
            ],
            find: Find::new(&of.sought, now),
            jobs: vec![],
            failed: None,
            until,
        }
    }

    /// Once it is known what is to be backed up, each gets its job.
    fn settle(&mut self, now: Timestamp) {
        if !self.jobs.is_empty() || self.failed.is_some() {
            return;
        }
        match self.find.found() {
            Some(Ok(all)) => {
                let job = |of| Job {
                    of,
                    stage: Stage::Start,
                    turn: Turn::new(now),
                    joined: false,
                    attempt: 1,
                    last: "not begun".into(),
                };
                self.jobs = all.into_iter().map(job).collect();
            }
            Some(Err(why)) => self.failed = Some(why),
            None => {}
        }
    }
}

impl Job {
    fn ask(&self, of: &AwsBackup, key: &Id, tags: &[(String, String); 2]) -> Option<CloudCall> {
        let vault = || of.vault.clone();
        Some(match &self.stage {
            Stage::Start => CloudCall::StartBackup {
                vault: vault(),
                resource: self.of.clone(),
                token: self.token(key),
                start_within: of.start_within,
                complete_within: of.complete_within,
                delete_after_days: of.delete_after_days,
                tags: tags.to_vec(),
            },
            Stage::Join => CloudCall::RunningBackup { vault: vault(), resource: self.of.clone() },
            Stage::Watch(id) => CloudCall::BackupJob { id: id.clone() },
            Stage::Point(arn) => CloudCall::RecoveryPoint { vault: vault(), arn: arn.clone() },
            Stage::Over(_) => return None,
        })
    }

    /// The same for ever, for that resource and that attempt: its whole name counts, not how it is shown.
    fn token(&self, key: &Id) -> String {
        let (of, attempt) = (format!("{:?}", self.of), self.attempt.to_string());
        Id::of(&["backup", key.as_str(), &of, &attempt]).short(32).to_owned()
    }

    /// The other job has ended in between: ours may begin, after a while, and not for ever.
    fn anew(&mut self, now: Timestamp) {
        if self.attempt >= ATTEMPTS {
            return self.over(Err(format!("another job was in the way: {}", self.last)));
        }
        self.attempt += 1;
        self.stage = Stage::Start;
        self.turn.later(now);
    }

    fn answer(&mut self, answer: Answer, vault: &Vault, now: Timestamp) {
        match (&self.stage, self.turn.weigh(answer, now)) {
            (_, Weighed::Again(why)) => self.last = why,
            (_, Weighed::Said(said)) => {
                let standing = serde_json::from_str(&said).unwrap_or_default();
                self.said(standing, now);
            }
            (Stage::Start, Weighed::Changed(_)) => self.go(Stage::Join, now),
            (Stage::Join, Weighed::Gone) => self.anew(now),
            (Stage::Start, Weighed::Gone) => {
                let vault = vault.vault.as_deref().unwrap_or("of the configuration");
                self.over(Err(format!("the vault `{vault}` or the resource is not there")));
            }
            (_, Weighed::Gone) => self.over(Err("AWS does not know of it any more".into())),
            (_, Weighed::Never(why) | Weighed::Changed(why)) => self.over(Err(why)),
        }
    }

    fn said(&mut self, standing: Standing, now: Timestamp) {
        let Standing { id, state, message, recovery_point, .. } = standing;
        let told = if message.is_empty() { state.clone() } else { format!("{state}: {message}") };
        match &self.stage {
            Stage::Start => self.go(Stage::Watch(id), now),
            Stage::Join => {
                self.joined = true;
                self.go(Stage::Watch(id), now);
            }
            Stage::Watch(_) => match (judge_job(&state), recovery_point) {
                (Judged::Good, Some(point)) => self.go(Stage::Point(point), now),
                (Judged::Good, None) => self.over(Err("COMPLETED without a recovery point".into())),
                // It says so minutes later, and not when it is asked.
                (Judged::Bad, _) if message.contains(ANOTHER) && !self.joined => {
                    self.go(Stage::Join, now);
                }
                (Judged::Bad, _) => self.over(Err(told)),
                (Judged::Running, _) => {
                    self.last = told;
                    self.turn.later(now);
                }
            },
            Stage::Point(point) => match judge_point(&state) {
                Judged::Good => {
                    let how = if self.joined { " (of a job that was there)" } else { "" };
                    let point = point.rsplit(':').next().unwrap_or(point);
                    let told = format!("{} as {point}{how}", self.of);
                    self.over(Ok(told));
                }
                Judged::Bad => self.over(Err(format!("its recovery point is {told}"))),
                Judged::Running => {
                    self.last = format!("its recovery point is {told}");
                    self.turn.later(now);
                }
            },
            Stage::Over(_) => {}
        }
    }

    fn go(&mut self, stage: Stage, now: Timestamp) {
        self.stage = stage;
        self.turn.on(now);
    }

    fn over(&mut self, how: Result<String, String>) {
        self.stage = Stage::Over(how);
    }

    fn open(&self) -> bool {
        !matches!(self.stage, Stage::Over(_))
    }
}

const FIND: &str = "find";

impl Asking for Jobs {
    fn poll(&mut self, now: Timestamp) -> Vec<(String, Work)> {
        self.settle(now);
        if self.jobs.is_empty() {
            return self.find.poll(now).map(|work| (FIND.to_owned(), work)).into_iter().collect();
        }
        let free = ABREAST.saturating_sub(self.jobs.iter().filter(|job| job.turn.busy()).count());
        let (of, key, tags) = (&self.of, &self.key, &self.tags);
        let due = self.jobs.iter_mut().enumerate();
        due.filter(|(_, job)| job.open())
            .filter_map(|(at, job)| {
                let call = job.ask(of, key, tags).filter(|_| job.turn.take(now))?;
                Some((at.to_string(), Work::Cloud(call)))
            })
            // Lazily: whoever has no place yet has not taken its turn.
            .take(free)
            .collect()
    }

    fn answer(&mut self, tag: &str, answer: Answer, now: Timestamp) {
        if tag == FIND {
            self.find.answer(answer, now);
        } else if let Some(job) = tag.parse().ok().and_then(|at: usize| self.jobs.get_mut(at)) {
            job.answer(answer, &self.of.vault, now);
        }
    }

    fn status(&self, now: Timestamp) -> Status {
        let failed = self.failed.clone().or_else(|| match self.find.found() {
            Some(Err(why)) => Some(why),
            _ => None,
        });
        if let Some(why) = failed {
            return Status::Failed(why);
        }
        let over = self.jobs.iter().filter_map(|job| match &job.stage {
            Stage::Over(how) => Some((job, how)),
            _ => None,
        });
        let bad: Vec<String> = over
            .clone()
            .filter_map(|(job, how)| Some(format!("{}: {}", job.of, how.as_ref().err()?)))
            .collect();
        let open = self.jobs.iter().find(|job| job.open());
        match open {
            // What goes on elsewhere goes on: what has failed is told with all the others.
            Some(_) if now < self.until => Status::Working,
            None if self.jobs.is_empty() && now < self.until => Status::Working,
            None if self.jobs.is_empty() => {
                Status::Failed(format!("it was not begun in time: {}", self.find.last))
            }
            Some(job) => Status::Failed(format!("not done in time: {}: {}", job.of, job.last)),
            None if !bad.is_empty() => Status::Failed(bad.join("; ")),
            None => {
                let good: Vec<&str> =
                    over.filter_map(|(_, how)| how.as_ref().ok().map(String::as_str)).collect();
                Status::Done(good.join("; "))
            }
        }
    }

    fn wake_at(&self) -> Option<Timestamp> {
        let finding = self.jobs.is_empty().then(|| self.find.turn.wake_at()).flatten();
        // Where all places are taken, an answer wakes the next.
        let full = self.jobs.iter().filter(|job| job.turn.busy()).count() >= ABREAST;
        let jobs = self.jobs.iter().filter(|job| job.open() && !full);
        let jobs = jobs.filter_map(|job| job.turn.wake_at());
        jobs.chain(finding).chain([self.until]).min()
    }

    fn busy(&self) -> bool {
        self.find.turn.busy() || self.jobs.iter().any(|job| job.turn.busy())
    }
}
