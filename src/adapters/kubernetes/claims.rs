//! Karpenter's NodeClaims: a machine given back, with the moment by which what is left on it has to be gone.

use super::answer::answer;
use super::control::MANAGER;
use super::objects::named;
use crate::model::{Answer, Refusal};
use jiff::{Timestamp, Unit};
use kube::{
    Client,
    api::{DeleteParams, Patch, PatchParams},
};
use serde_json::json;

/// Karpenter reads it from the claim, as RFC 3339; past it, budgets and do-not-disrupt hold nothing back.
const ENDS: &str = "karpenter.sh/nodeclaim-termination-timestamp";

pub(super) async fn release(client: &Client, claim: &str, by: Option<Timestamp>) -> Answer {
    let claims = named(client, ["karpenter.sh/v1", "NodeClaim", "nodeclaims"], None);
    if let Some(by) = by {
        let whole = by.round(Unit::Second).unwrap_or(by);
        let body = json!({ "metadata": { "annotations": { ENDS: whole } } });
        let params = PatchParams { field_manager: Some(MANAGER.into()), ..PatchParams::default() };
        let marked = answer(claims.patch_metadata(claim, &params, &Patch::Merge(&body)).await);
        if marked != Answer::Done {
            return marked;
        }
    }
    match claims.delete(claim, &DeleteParams::default()).await {
        Err(kube::Error::Api(error)) if error.code == 404 => Answer::Refused(Refusal::Gone),
        other => answer(other),
    }
}
