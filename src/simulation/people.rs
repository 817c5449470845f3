//! People who answer when they are called, or do not.

use super::scenario::{Person, Reaction};
use super::service::Service;
use crate::clock::Clock;
use crate::model::{PageKey, PageKind};
use tokio::{sync::mpsc, task::JoinSet};

/// Answers for as long as it is polled.
pub(super) async fn run(
    service: Service,
    people: Vec<Person>,
    mut rings: mpsc::UnboundedReceiver<PageKey>,
) {
    let mut answering = JoinSet::new();
    while let Some(key) = rings.recv().await {
        let person = people.iter().find(|person| person.contact == key.contact);
        let Some(person) = person.filter(|_| key.kind == PageKind::Trigger) else { continue };
        answering.spawn(answer(service.clone(), person.clone(), key.incident));
        while answering.try_join_next().is_some() {}
    }
}

async fn answer(service: Service, person: Person, incident: String) {
    let stage = service.stage.clone();
    stage.time.after(person.after).await;
    let found = stage.invariants().ledger.incidents.get(&incident).cloned();
    let Some(known) = found.filter(|known| known.resolved.is_none()) else { return };
    let verb = match person.does {
        Reaction::Acknowledges => "acknowledges",
        Reaction::Resolves => "resolves",
    };
    let text = format!("{} {verb} {incident}", person.contact);
    stage.tape().script(stage.time.now(), text);
    let resolve = person.does == Reaction::Resolves;
    service.answer(resolve, &incident, &known.target, &person.contact).await;
}
