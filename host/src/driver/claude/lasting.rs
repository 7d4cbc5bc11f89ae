//! What "allow for this session" allows: of what the CLI suggests, that which ends with the process. Never what would
//! be written into the settings of a folder, and never a mode that asks nothing any more.

use serde_json::{Value, json};

use crate::chat::Lasting;

/// What of these suggestions may be allowed for a session. Rules for the tool and folders to work in where there are
/// any; a mode (all edits) only where nothing narrower is suggested.
pub(super) fn of(suggestions: &[Value]) -> Option<Lasting> {
    let kind = |update: &Value| text(update, "type").to_owned();
    let narrow = |update: &&Value| match kind(update).as_str() {
        "addRules" => text(update, "behavior") == "allow" && !rules(update).is_empty(),
        "addDirectories" => !folders(update).is_empty(),
        _ => false,
    };
    let mut updates: Vec<Value> = suggestions.iter().filter(narrow).cloned().collect();
    if updates.is_empty() {
        let mode = suggestions
            .iter()
            .find(|update| kind(update) == "setMode" && text(update, "mode") == "acceptEdits");
        updates.extend(mode.cloned());
    }
    if updates.is_empty() {
        return None;
    }
    for update in &mut updates {
        update["destination"] = "session".into();
    }
    let words = updates.iter().flat_map(words).collect::<Vec<_>>().join(", ");
    Some(Lasting {
        updates: Value::Array(updates).to_string(),
        words,
    })
}

/// For a process that is started anew: its settings, as `--settings` takes them, and the mode. None: nothing was
/// allowed.
pub(super) fn settings(allowed: &[String]) -> (Option<Value>, Option<String>) {
    let (mut allow, mut more, mut mode) = (Vec::new(), Vec::new(), None);
    let updates = allowed
        .iter()
        .filter_map(|text| serde_json::from_str::<Value>(text).ok());
    for update in updates.flat_map(|updates| updates.as_array().cloned().unwrap_or_default()) {
        match text(&update, "type") {
            "addRules" => allow.extend(rules(&update)),
            "addDirectories" => more.extend(folders(&update)),
            "setMode" => mode = Some(text(&update, "mode").to_owned()),
            _ => {}
        }
    }
    allow.sort();
    allow.dedup();
    more.sort();
    more.dedup();
    let nothing = allow.is_empty() && more.is_empty();
    let settings = json!({"permissions": {"allow": allow, "additionalDirectories": more}});
    ((!nothing).then_some(settings), mode)
}

fn words(update: &Value) -> Vec<String> {
    match text(update, "type") {
        "addRules" => rules(update).iter().map(|rule| format!("`{rule}`")).collect(),
        "addDirectories" => folders(update)
            .iter()
            .map(|folder| format!("work in `{folder}`"))
            .collect(),
        _ => vec!["all edits in the working folder".to_owned()],
    }
}

/// `Bash(git log *)`.
fn rules(update: &Value) -> Vec<String> {
    let all = update.get("rules").and_then(Value::as_array).into_iter().flatten();
    all.filter_map(|rule| {
        let tool = Some(text(rule, "toolName")).filter(|tool| !tool.is_empty())?;
        Some(match text(rule, "ruleContent") {
            "" => tool.to_owned(),
            content => format!("{tool}({content})"),
        })
    })
    .collect()
}

fn folders(update: &Value) -> Vec<String> {
    let all = update
        .get("directories")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    all.filter_map(Value::as_str).map(str::to_owned).collect()
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suggested() -> Vec<Value> {
        // As 2.1.329 suggests them for `touch made`.
        vec![
            json!({"type": "addRules", "rules": [{"toolName": "Bash", "ruleContent": "touch made *"}],
                "behavior": "allow", "destination": "localSettings"}),
            json!({"type": "addDirectories", "directories": ["/w2"], "destination": "session"}),
            json!({"type": "setMode", "mode": "acceptEdits", "destination": "session"}),
        ]
    }

    #[test]
    fn only_what_is_narrow_is_allowed_and_only_for_the_session() {
        let lasting = of(&suggested()).unwrap();
        assert_eq!(lasting.words, "`Bash(touch made *)`, work in `/w2`");
        let updates: Value = serde_json::from_str(&lasting.updates).unwrap();
        let destinations: Vec<&Value> = updates.as_array().unwrap().iter().map(|u| &u["destination"]).collect();
        assert_eq!(destinations, ["session", "session"]);
        assert!(!lasting.updates.contains("acceptEdits"));
    }

    #[test]
    fn all_edits_are_allowed_only_where_nothing_narrower_is_suggested() {
        assert_eq!(of(&suggested()[2..]).unwrap().words, "all edits in the working folder");
        assert_eq!(of(&[json!({"type": "setMode", "mode": "bypassPermissions"})]), None);
        assert_eq!(
            of(&[json!({"type": "addRules", "behavior": "deny", "rules": [{"toolName": "Bash"}]})]),
            None
        );
        assert_eq!(of(&[json!(7), json!({"type": "later"})]), None);
    }

    #[test]
    fn a_process_that_is_started_anew_is_told_what_was_allowed() {
        let lasting = of(&suggested()).unwrap().updates;
        let (told, mode) = settings(&[lasting.clone(), lasting, "no json".to_owned()]);
        assert_eq!(
            told.unwrap().to_string(),
            r#"{"permissions":{"additionalDirectories":["/w2"],"allow":["Bash(touch made *)"]}}"#
        );
        assert_eq!(mode, None);
        let edits = of(&suggested()[2..]).unwrap().updates;
        assert_eq!(settings(&[edits]), (None, Some("acceptEdits".to_owned())));
    }
}
