//! The further agents of a bot, `[route.NAME]`, and whether they fit together.

use super::agent::is_name;
use super::{At, Checker};
use crate::chat::RouteStep;
use crate::config::nearest::nearest;
use crate::config::raw::{RawBot, RawFile, RawRoute, RawStep};
use crate::config::section::join;
use crate::config::{ANSWER_PLACE, AUTO_AGENT, DEMO_AGENT, Route};

/// Agents that a bot has besides its first; also those that one step asks, and the steps of a route.
const MOST: usize = 16;

impl Checker<'_> {
    pub(super) fn routes(&mut self, file: &RawFile) -> Vec<Route> {
        file.routes.iter().map(|raw| self.route(raw, file)).collect()
    }

    fn route(&mut self, raw: &RawRoute, file: &RawFile) -> Route {
        if !is_name(&raw.name) {
            self.push(raw.place.problem(
                format!("`{}` is not a name", raw.name),
                "a-z, 0-9, `-` and `_`, at most 40 characters",
            ));
        }
        let place = raw.place.below("steps");
        if !raw.given {
            let hint = "each says whom it asks: `steps = [{ to = [\"coder\"] }, { to = [\"reviewer\"] }]`";
            self.push(place.problem("is missing", hint));
        } else if raw.steps.len() > MOST {
            self.push(place.problem(format!("has {} steps", raw.steps.len()), format!("at most {MOST}")));
        }
        let steps = raw.steps.iter().enumerate();
        Route {
            name: raw.name.clone(),
            steps: steps.map(|(at, step)| self.step(step, at == 0, file)).collect(),
        }
    }

    fn step(&mut self, raw: &RawStep, first: bool, file: &RawFile) -> RouteStep {
        let items = raw.to.as_ref().map_or(&[][..], |list| &list.value);
        if !raw.given {
            let hint = "the agents that it asks: `to = [\"reviewer\"]`";
            self.push(raw.place.below("to").problem("is missing", hint));
        } else if let Some(list) = raw.to.as_ref().filter(|list| list.value.is_empty()) {
            self.push(list.problem("asks nobody", "the agents that it asks: `to = [\"reviewer\"]`"));
        } else if items.len() > MOST {
            self.push(
                raw.place
                    .below("to")
                    .problem(format!("asks {} agents", items.len()), format!("at most {MOST}")),
            );
        }
        let mut to: Vec<String> = Vec::new();
        for item in items {
            self.agent_name(item, file);
            if to.contains(&item.value) {
                self.push(item.problem(format!("asks `{}` twice", item.value), "once is enough"));
            } else {
                to.push(item.value.clone());
            }
        }
        if let Some(say) = &raw.say {
            if say.value.trim().is_empty() {
                self.push(say.problem("is empty", "leave the key out to have its default"));
            } else if first && say.value.contains(ANSWER_PLACE) {
                self.push(say.problem(
                    "nobody has answered yet when the first step begins",
                    "`{message}` is what was said",
                ));
            }
        }
        RouteStep {
            to,
            say: raw.say.as_ref().map(|say| say.value.clone()),
        }
    }

    /// The agents of a bot besides its first.
    pub(super) fn further_agents(&mut self, raw: &RawBot, first: &str, file: &RawFile) -> Vec<String> {
        let items = raw.agents.as_ref().map_or(&[][..], |list| &list.value);
        if let Some(list) = raw.agents.as_ref().filter(|list| list.value.len() > MOST) {
            self.push(list.problem(format!("has {} agents", list.value.len()), format!("at most {MOST}")));
        }
        let mut agents: Vec<String> = Vec::new();
        for item in items {
            self.agent_name(item, file);
            if item.value == first {
                self.push(item.problem(
                    format!("`{first}` is the bot's `agent` already"),
                    "name only the others here",
                ));
            } else if agents.contains(&item.value) {
                self.push(item.problem(format!("`{}` is named twice", item.value), "once is enough"));
            } else {
                agents.push(item.value.clone());
            }
        }
        agents
    }

    /// The routes that a bot takes: each is there, has a name of its own, and asks only agents of the bot.
    pub(super) fn routes_of(
        &mut self,
        raw: &RawBot,
        first: &str,
        further: &[String],
        file: &RawFile,
        routes: &[Route],
    ) -> Vec<Route> {
        let items = raw.routes.as_ref().map_or(&[][..], |list| &list.value);
        let mut taken: Vec<Route> = Vec::new();
        for item in items {
            let Some(route) = routes.iter().find(|route| route.name == item.value) else {
                self.push(unknown(item, routes));
                continue;
            };
            let is_agent = |name: &str| name == first || further.iter().any(|further| further == name);
            if is_agent(&route.name) {
                self.push(item.problem(
                    format!("`{}` is an agent of this bot too", route.name),
                    "people call both by `@NAME`: name the route otherwise",
                ));
            }
            if taken.iter().any(|other| other.name == route.name) {
                self.push(item.problem(format!("`{}` is named twice", route.name), "once is enough"));
                continue;
            }
            // One that is no agent at all was told where the route stands.
            let known = |name: &str| {
                [AUTO_AGENT, DEMO_AGENT].contains(&name) || file.agents.iter().any(|agent| agent.name == name)
            };
            let asked = route.steps.iter().flat_map(|step| &step.to);
            let mut missing: Vec<&String> = asked.filter(|name| known(name) && !is_agent(name)).collect();
            missing.sort_unstable();
            missing.dedup();
            for name in missing {
                self.push(item.problem(
                    format!("it asks `{name}`, which is no agent of this bot"),
                    format!("add it: `agents = [{name:?}]`"),
                ));
            }
            taken.push(route.clone());
        }
        taken
    }
}

fn unknown(given: &At<String>, routes: &[Route]) -> crate::config::Problem {
    let known = || routes.iter().map(|route| route.name.as_str());
    let hint = match nearest(&given.value, known()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if routes.is_empty() => format!("add `[{}]`", join("route", &given.value)),
        None => format!("known: {}", known().collect::<Vec<_>>().join(", ")),
    };
    given.problem(format!("there is no route `{}`", given.value), hint)
}
