use super::*;
use crate::config::DriverKind;

const MINUTE: Duration = Duration::from_secs(60);

fn limits() -> Limits {
    Limits::of(DriverKind::Claude)
}

/// A turn's clocks, and the time as minutes since the prompt.
struct Turn {
    watch: Watch,
    begin: Instant,
}

impl Turn {
    fn new() -> Self {
        let begin = Instant::now();
        let mut watch = Watch::new(limits());
        assert_eq!(watch.deadline(), None, "nothing runs before the prompt");
        watch.handed(begin);
        Self { watch, begin }
    }

    fn at(&self, minutes: u32) -> Instant {
        self.begin + MINUTE * minutes
    }

    fn hear(&mut self, minutes: u32, event: &AgentEvent) {
        let now = self.at(minutes);
        self.watch.heard(event, now, i64::from(minutes) * 60_000);
    }

    /// All that comes up to then, each with its minute.
    fn until(&mut self, minutes: u32) -> Vec<(u32, Due)> {
        let mut all = Vec::new();
        while let Some(next) = self.watch.deadline().filter(|next| *next <= self.at(minutes)) {
            let at = u32::try_from((next - self.begin).as_secs() / 60).unwrap();
            all.push((at, self.watch.due(next).expect("something is due at its time")));
            assert!(all.len() < 1000, "it comes to an end");
        }
        all
    }
}

fn text() -> AgentEvent {
    AgentEvent::TextDelta {
        block: 1,
        text: "a".to_owned(),
    }
}

fn step(call: &str) -> AgentEvent {
    AgentEvent::Tool {
        call: call.to_owned(),
        parent: None,
        kind: "execute",
        title: "make".to_owned(),
        detail: String::new(),
    }
}

fn step_ended(call: &str) -> AgentEvent {
    AgentEvent::ToolEnded {
        call: call.to_owned(),
        failed: false,
        denied: false,
        output: String::new(),
    }
}

fn tell(clock: Clock, minutes: u32) -> Due {
    Due::Tell(clock, MINUTE * minutes)
}

fn end(clock: Clock, minutes: u32) -> Due {
    Due::End(clock, MINUTE * minutes)
}

#[test]
fn agent_that_never_says_anything_is_told_of_and_then_given_up() {
    let mut turn = Turn::new();
    let told = (1..=7).map(|times| (2 * times, tell(Clock::First, 2 * times)));
    let expected: Vec<_> = told.chain([(15, end(Clock::First, 15))]).collect();
    assert_eq!(turn.until(600), expected);
    // Given the prompt again, the clocks run again.
    let now = turn.at(600);
    turn.watch.handed(now);
    assert_eq!(turn.watch.due(turn.at(601)), Some(tell(Clock::Turn, 600)));
    assert_eq!(turn.watch.deadline(), Some(turn.at(602)));
}

#[test]
fn every_sign_of_life_begins_the_silence_anew() {
    let mut turn = Turn::new();
    for minute in [1, 5, 9] {
        turn.hear(minute, &text());
        assert_eq!(turn.until(minute + 4), []);
    }
    turn.hear(13, &AgentEvent::Alive);
    assert_eq!(turn.until(18), [(18, tell(Clock::Silence, 5))]);
    // The next word takes the count back too.
    turn.hear(19, &text());
    assert_eq!(turn.until(24), [(24, tell(Clock::Silence, 5))]);
    // A process that says something of itself is no sign of life.
    turn.hear(25, &AgentEvent::Ready { pid: 1, version: None });
    assert_eq!(turn.until(49).pop(), Some((49, end(Clock::Silence, 30))));
}

#[test]
fn build_of_twenty_minutes_is_no_silence() {
    let mut turn = Turn::new();
    turn.hear(1, &step("a"));
    turn.hear(1, &step("b"));
    turn.hear(2, &step_ended("a"));
    assert_eq!(turn.until(22), [], "one of them still runs");
    assert_eq!(turn.until(32), [(32, tell(Clock::Tool, 30))]);
    turn.hear(40, &step_ended("b"));
    assert_eq!(turn.until(45), [(45, tell(Clock::Silence, 5))]);
    // A step that never ends is given up all the same.
    turn.hear(46, &step("c"));
    assert_eq!(turn.until(1000).pop(), Some((46 + 240, end(Clock::Tool, 240))));
}

#[test]
fn open_question_stops_every_clock() {
    let mut turn = Turn::new();
    turn.hear(1, &text());
    let (asked, decided) = (turn.at(2), turn.at(2 + 7 * 24 * 60));
    turn.watch.asking(true, asked);
    turn.watch.asking(true, asked + MINUTE);
    assert_eq!((turn.watch.deadline(), turn.watch.due(decided)), (None, None));
    turn.watch.asking(false, decided);
    assert_eq!(turn.watch.deadline(), Some(decided + 5 * MINUTE));
    // The week was no part of the turn.
    turn.watch.heard(&step("a"), decided, 0);
    for hour in 1..=2 {
        turn.watch.heard(&text(), decided + 30 * hour * MINUTE - MINUTE, 0);
    }
    assert_eq!(
        turn.watch
            .due(decided + 117 * MINUTE)
            .map(|due| matches!(due, Due::Tell(Clock::Turn, _))),
        Some(false)
    );
    turn.watch.heard(&text(), decided + 117 * MINUTE, 0);
    assert_eq!(turn.watch.due(decided + 117 * MINUTE), None);
    assert_eq!(turn.watch.due(decided + 118 * MINUTE), Some(tell(Clock::Turn, 120)));
}

#[test]
fn used_up_allowance_is_waited_for_until_it_is_renewed() {
    let mut turn = Turn::new();
    let limited = |reached| AgentEvent::Limited {
        until: Some(100 * 60_000),
        reached,
    };
    turn.hear(1, &limited(true));
    // Words about it are no work.
    turn.hear(2, &AgentEvent::Compacting);
    assert_eq!(turn.until(104), []);
    assert_eq!(turn.until(105), [(105, tell(Clock::Silence, 5))]);
    // Nearly used up is not used up, and who works is held up by nothing.
    for event in [limited(false), text()] {
        let mut turn = Turn::new();
        turn.hear(1, &limited(event == text()));
        turn.hear(1, &event);
        assert_eq!(turn.until(6), [(6, tell(Clock::Silence, 5))]);
    }
    // A retry that is announced is waited for.
    let mut turn = Turn::new();
    let retry = AgentEvent::Retrying {
        attempt: 1,
        of: 3,
        after: 20 * MINUTE,
        reason: String::new(),
    };
    turn.hear(1, &retry);
    assert_eq!(turn.until(25), []);
}

#[test]
fn whole_turn_is_told_of_and_ended_however_much_is_said() {
    let mut turn = Turn::new();
    let mut all = Vec::new();
    for minute in 1..=24 * 60 {
        turn.hear(minute, &text());
        all.extend(turn.until(minute));
    }
    let told = (1..=11).map(|times| (120 * times, tell(Clock::Turn, 120 * times)));
    let expected: Vec<_> = told.chain([(1440, end(Clock::Turn, 1440))]).collect();
    assert_eq!(all, expected);
    assert_eq!(turn.until(5000), [], "it is over");
}

#[test]
fn words_name_the_time_and_what_comes_next() {
    let watch = Watch::new(limits());
    assert_eq!(
        watch.told(Clock::Silence, 5 * MINUTE),
        "Still working, nothing new for 5 min. After 30 min it is interrupted; Stop ends it now."
    );
    assert_eq!(
        watch.told(Clock::Turn, 120 * MINUTE),
        "Still working, for 2 h by now. It goes on by itself, for 24 h at most; Stop ends it now."
    );
    assert_eq!(reason(Clock::Tool, 240 * MINUTE), "a step ran for 4 h without a word");
}

#[test]
fn what_was_spent_stands_while_a_person_decides() {
    let mut turn = Turn::new();
    let spent = |turn: &Turn, minutes| {
        let spent = turn.watch.spent(turn.at(minutes)).expect("an agent has the prompt");
        (spent.turn.as_secs() / 60, spent.silence.as_secs() / 60)
    };
    turn.hear(3, &text());
    assert_eq!(spent(&turn, 5), (5, 2));
    turn.watch.asking(true, turn.at(5));
    assert_eq!(spent(&turn, 60), (5, 2));
    turn.watch.asking(false, turn.at(60));
    assert_eq!(spent(&turn, 61), (6, 1));
    assert_eq!(Watch::new(limits()).spent(Instant::now()), None);
}
