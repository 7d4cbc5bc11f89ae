//! `[route.NAME]` as it stands.

use toml::de::DeValue;

use super::{At, Place, Reader, Section, at, called, table_of};
use crate::config::problem::line_of;

#[derive(Debug)]
pub struct RawRoute {
    pub place: Place,
    pub name: String,
    /// Something stands there, though it may be wrong: then nothing is missing.
    pub given: bool,
    pub steps: Vec<RawStep>,
}

#[derive(Debug)]
pub struct RawStep {
    pub place: Place,
    pub given: bool,
    pub to: Option<At<Vec<At<String>>>>,
    pub say: Option<At<String>>,
}

const STEPS: &str =
    "for example `steps = [{ to = [\"coder\"] }, { to = [\"reviewer\"], say = \"Review this: {answer}\" }]`";

pub(super) fn routes<'a>(reader: &mut Reader<'a>, root: &mut Section<'a>) -> Vec<RawRoute> {
    let Some(found) = root.take(reader, "route") else {
        return Vec::new();
    };
    let Some(table) = table_of(reader, &found, "[route.review]") else {
        return Vec::new();
    };
    let mut routes = Vec::new();
    for (name, value) in table {
        let found = at(reader, "route", name.get_ref(), value);
        if let Some(table) = table_of(reader, &found, "[route.review]") {
            let place = found.place();
            let mut s = Section::new(Some(table), place.clone());
            let steps = s.take(reader, "steps");
            let given = steps.is_some();
            let steps = steps.map(|found| steps_of(reader, &found)).unwrap_or_default();
            s.finish(reader);
            routes.push(RawRoute {
                place,
                name: name.get_ref().to_string(),
                given,
                steps,
            });
        }
    }
    routes
}

fn steps_of<'a>(reader: &mut Reader<'a>, found: &At<&'a DeValue<'a>>) -> Vec<RawStep> {
    let DeValue::Array(list) = found.value else {
        reader.problems.push(found.problem(
            format!("needs to be a list of steps, not {}", called(found.value)),
            STEPS,
        ));
        return Vec::new();
    };
    if list.is_empty() {
        reader.problems.push(found.problem("is empty", STEPS));
    }
    let mut steps = Vec::new();
    for (index, value) in list.iter().enumerate() {
        let found = At {
            value: value.get_ref(),
            key: format!("{}[{index}]", found.key),
            line: line_of(reader.text, value.span().start),
        };
        let Some(table) = found.value.as_table() else {
            reader
                .problems
                .push(found.problem(format!("needs to be a table, not {}", called(found.value)), STEPS));
            continue;
        };
        let mut s = Section::new(Some(table), found.place());
        steps.push(RawStep {
            place: found.place(),
            given: table.keys().any(|key| key.get_ref() == "to"),
            to: s.list(reader, "to", "[\"reviewer\"]"),
            say: s.text(reader, "say", "\"Review this: {answer}\""),
        });
        s.finish(reader);
    }
    steps
}
