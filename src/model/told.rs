//! A record in one line, for people.

use serde_json::Value;

/// Outside text for a terminal: no control characters, so no escape sequences.
pub fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

/// Outside text for markup: no tag, no reference. Not for attributes.
pub fn escape_markup(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn text(value: &Value) -> String {
    plain(value.as_str().unwrap_or_default())
}

/// A record, given as the JSON of its envelope, in one line.
pub fn describe(record: &Value) -> String {
    let data = &record["data"];
    let kind = text(&record["type"]);
    let said = match kind.as_str() {
        "medevac.incident" => {
            let change = &data["move"];
            let by = change["by"].as_str().map(|by| format!(" by {by}: {}", text(&change["note"])));
            format!("incident {}{}", text(&change["is"]), by.unwrap_or_default())
        }
        "medevac.decision" => {
            let verdict = &data["verdict"];
            let why = match verdict["reason"].is_null() {
                true => String::new(),
                false => format!(": {}", text(&verdict["reason"]["why"])),
            };
            format!("rule {} matched: {}{why}", text(&data["rule"]), text(&verdict["is"]))
        }
        "medevac.remediation.planned" => {
            let steps = data["steps"].as_array().into_iter().flatten();
            let names: Vec<String> = steps.map(|step| text(&step["name"])).collect();
            let remarks =
                data["remarks"].as_array().into_iter().flatten().map(text).collect::<Vec<_>>();
            format!("plan: {} ({})", names.join(", "), remarks.join("; "))
        }
        "medevac.remediation" => journal(&data["entry"]),
        "medevac.page" => page(&data["step"]),
        _ => format!("{kind} from {}", text(&record["source"])),
    };
    plain(&said)
}

fn journal(entry: &Value) -> String {
    let step = text(&entry["step"]);
    let why =
        |key: &str| entry[key].as_str().filter(|why| !why.is_empty()).map(|why| format!(": {why}"));
    match entry["entry"].as_str().unwrap_or_default() {
        "ended" => format!("remediation {}", text(&entry["how"]["how"])),
        "escalate" => {
            format!(
                "asks for a person ({} level {}){}",
                text(&entry["policy"]),
                entry["level"],
                why("why").unwrap_or_default()
            )
        }
        "checkpoint" => {
            let state = &entry["state"];
            let note = ["why", "reference"].iter().find_map(|key| state[*key].as_str());
            let note = note.map(|note| format!(": {note}")).unwrap_or_default();
            format!("checkpoint of {} {}{note}", text(&entry["unit"]), text(&state["is"]))
        }
        "pods" => {
            let pods = entry["pods"].as_array().map_or(0, Vec::len);
            let killed = entry["pods"].as_array().into_iter().flatten();
            match killed.filter(|pod| pod["killed"] == true).count() {
                0 => format!("{step}: {pods} pods ended by themselves"),
                killed => format!("{step}: {killed} of {pods} pods did not end by themselves"),
            }
        }
        "climbed" => {
            let of = &entry["climbed"];
            let rung = of["rung"].as_u64().unwrap_or(0) + 1;
            let ladder = format!("{step}: {}", text(&entry["ladder"]));
            match of["state"].as_str().unwrap_or_default() {
                "asked" => format!("{ladder}, rung {rung} is asked"),
                "refused" => format!("{ladder}, rung {rung} has nothing: {}", text(&of["why"])),
                "yielded" => format!("{ladder}: its pods wait for a node themselves"),
                _ => {
                    let nodes = of["nodes"].as_array().into_iter().flatten().map(text);
                    format!("{ladder}, rung {rung}: {} ready", nodes.collect::<Vec<_>>().join(", "))
                }
            }
        }
        "found" => {
            let found = entry["findings"].as_array().into_iter().flatten();
            let ill: Vec<String> = found
                .filter(|it| it["health"] != "good")
                .map(|it| text(&it["what"]))
                .take(3)
                .collect();
            let ill = if ill.is_empty() { "nothing is wrong".to_owned() } else { ill.join("; ") };
            format!("{step} found: {ill}")
        }
        "succeeded" => format!("{step} done{}", why("note").unwrap_or_default()),
        "accepted" => "remediation accepted".into(),
        other => format!("{step} {}{}", other.replace('_', " "), why("why").unwrap_or_default()),
    }
}

fn page(step: &Value) -> String {
    let key = &step["key"];
    let whom = format!("{} (level {}, round {})", text(&key["contact"]), key["level"], key["nth"]);
    match step["page"].as_str().unwrap_or_default() {
        "calling" => format!(
            "calling level {} of {}: {}",
            step["level"],
            text(&step["policy"]),
            text(&step["why"])
        ),
        "held" => format!(
            "level {} of {} waits for the end of quiet hours: {}",
            step["level"],
            text(&step["policy"]),
            text(&step["until"])
        ),
        "intent" => format!("{} for {whom}", text(&key["kind"])),
        "attempt" => format!("attempt {} to reach {whom}", step["attempt"]),
        "delivered" => format!("reached {whom}"),
        "undelivered" => format!("could not reach {whom}: {}", text(&step["why"])),
        "acknowledged" => format!("acknowledged by {}", text(&step["by"])),
        "unanswered" => format!("NOBODY ANSWERS: {}", text(&step["why"])),
        other => other.replace('_', " "),
    }
}
