//! Tests against a real control plane: kube-apiserver, controller-manager, scheduler and etcd, with kwok for kubelets.
//! `make test-cluster` brings them. One control plane serves all cases, so they run from a `main` of their own.

#![expect(clippy::unwrap_used, reason = "a failed expectation is a failed test")]
#![expect(clippy::disallowed_methods, reason = "tests wait for real processes, with a deadline")]
#![expect(clippy::print_stdout, reason = "a harness")]

#[path = "../support/mod.rs"]
mod support;

mod crashes;
mod deploy;
mod drains;
mod feeds;
mod jobs;
mod leases;
mod moves;
mod plane;
mod rights;
mod spot;
mod velero;

use plane::Plane;
use std::{process::ExitCode, sync::Arc};

#[tokio::main]
async fn main() -> ExitCode {
    // This binary started again, as the daemon that a case kills.
    if std::env::var_os("MEDEVAC_TEST_ORDERS").is_some() {
        support::daemon::child().await;
        return ExitCode::SUCCESS;
    }
    let plane = Arc::new(Plane::start().await);
    let (mut passed, mut failed) = (0, 0);
    let mut verdict = |name: &str, result: Result<(), tokio::task::JoinError>| {
        let word = if result.is_ok() { "ok" } else { "FAILED" };
        println!("test {name} ... {word}");
        if result.is_ok() { passed += 1 } else { failed += 1 }
    };
    // An argument keeps to the cases whose name contains it.
    let only = std::env::args().nth(1).unwrap_or_default();
    macro_rules! case {
        ($room:ident :: $name:ident) => {
            if !stringify!($room::$name).replace(' ', "").contains(&only) {
                // Somebody wants another one.
            } else {
                let result = tokio::spawn($room::$name(Arc::clone(&plane))).await;
                verdict(concat!(stringify!($room), "::", stringify!($name)), result);
            }
        };
    }
    case!(drains::an_alert_drains_a_node_by_all_the_rules);
    case!(drains::a_pod_that_does_not_want_to_die_is_named_to_a_person);
    case!(drains::a_persons_cordon_stays);
    case!(drains::observe_mode_writes_nothing);
    case!(drains::restart_and_scale_change_the_workload_once);
    case!(rights::a_missing_right_is_named);
    case!(moves::a_job_goes_to_on_demand_and_comes_back_as_it_was);
    case!(moves::each_kind_goes_elsewhere_and_what_can_comes_back);
    case!(deploy::the_chart_renders_as_kept_and_is_admitted_where_it_is_restricted);
    case!(deploy::what_may_be_switched_on_says_what_it_should);
    case!(jobs::a_job_is_suspended_and_only_who_has_lets_it_run_again);
    case!(jobs::the_jobs_of_other_operators_are_stopped_by_their_own_field);
    case!(jobs::karpenter_has_its_claim_back_with_the_moment_it_ends);
    case!(feeds::twenty_thousand_events_are_told_once_over_every_restart);
    case!(feeds::pods_and_objects_tell_what_becomes_of_them);
    case!(velero::a_backup_is_made_followed_through_its_phases_and_relied_on);
    case!(leases::a_write_over_what_has_changed_is_refused);
    case!(leases::of_two_daemons_one_is_active_and_the_other_follows);
    case!(crashes::killed_at_every_journal_line_the_end_is_the_same);
    case!(spot::a_gang_has_its_checkpoint_before_any_of_it_is_told_to_go);
    case!(spot::killed_at_every_step_the_node_is_empty_before_the_deadline);
    // After the others: it takes what they have made of other operators' kinds.
    case!(rights::the_generated_rights_are_enough_and_no_more);
    drop(plane);
    println!("\n{passed} passed, {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
