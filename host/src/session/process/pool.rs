//! Who has a place among the live processes, who waits for one and in which order, and who is asked to give way. Pure.

use std::collections::{BTreeMap, HashMap, VecDeque};

use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::{Bounds, Permit};

/// What a process counts as before any of its agent was measured: as much as Claude Code takes after some turns.
const UNKNOWN_BYTES: u64 = 256 << 20;

/// So many processes of an agent say what the next will take.
const KNOWN: usize = 31;

/// One place.
#[derive(Debug)]
struct Seat {
    agent: String,
    /// Its CLI's process, once there is one.
    pid: Option<u32>,
    /// As measured.
    bytes: Option<u64>,
    work: Work,
    /// Its process lasts as long as a turn, and is not measured.
    passing: bool,
    /// It may be asked to give way.
    idle: Option<Idle>,
    /// Something of its process runs in the background: it does not give way, though its turn ends.
    kept: bool,
}

/// What a process does, as far as its size goes: before it has shown something it has not taken yet what it will take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    Begins,
    Shown,
    /// And is being measured.
    Asked,
    /// And was measured since.
    Known,
}

#[derive(Debug)]
struct Idle {
    since: u64,
    give_way: CancellationToken,
}

impl Seat {
    fn gives_way(&self) -> bool {
        self.idle.as_ref().is_some_and(|idle| idle.give_way.is_cancelled())
    }
}

/// Who waits.
#[derive(Debug)]
struct Waiter {
    id: u64,
    agent: String,
    permit: oneshot::Sender<Permit>,
    /// How many are before it.
    before: watch::Sender<u32>,
}

/// A place that somebody gets.
pub(super) struct Grant {
    pub(super) seat: u64,
    pub(super) to: oneshot::Sender<Permit>,
}

#[derive(Debug)]
pub(super) struct Pool {
    bounds: Bounds,
    /// Numbers places, waiters and the moments in which processes became idle.
    clock: u64,
    seats: BTreeMap<u64, Seat>,
    /// By agent.
    sizes: HashMap<String, Sizes>,
    /// People in the order of their turns, each with what they wait for.
    people: VecDeque<(String, VecDeque<Waiter>)>,
    /// Who wants a place only if nobody else does.
    spares: VecDeque<Spare>,
    /// It was told that nobody gets a place, see [`Pool::blocked`].
    told: bool,
}

/// What processes of one agent took at work.
#[derive(Debug, Default)]
struct Sizes {
    /// When they were measured last, of the newest [`KNOWN`], by place.
    each: VecDeque<(u64, u64)>,
    /// One that builds something large does not raise it; of two the smaller.
    median: u64,
}

impl Sizes {
    fn learn(&mut self, seat: u64, bytes: u64) {
        self.each.retain(|(other, _)| *other != seat);
        self.each.push_back((seat, bytes));
        if self.each.len() > KNOWN {
            self.each.pop_front();
        }
        let mut sorted: Vec<u64> = self.each.iter().map(|(_, bytes)| *bytes).collect();
        sorted.sort_unstable();
        self.median = sorted[(sorted.len() - 1) / 2];
    }
}

/// Who waits for a place that nobody needs.
#[derive(Debug)]
struct Spare {
    id: u64,
    agent: String,
    permit: oneshot::Sender<Permit>,
}

impl Pool {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            clock: 0,
            seats: BTreeMap::new(),
            sizes: HashMap::new(),
            people: VecDeque::new(),
            spares: VecDeque::new(),
            told: false,
        }
    }

    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    /// What a process of this agent will take.
    fn expected(&self, agent: &str) -> u64 {
        self.sizes.get(agent).map_or(UNKNOWN_BYTES, |sizes| sizes.median)
    }

    fn cost(&self, seat: &Seat) -> u64 {
        match seat.bytes {
            Some(bytes) if seat.work == Work::Known || seat.passing => bytes,
            bytes => self.expected(&seat.agent).max(bytes.unwrap_or_default()),
        }
    }

    /// How many of these there are, and what they take.
    fn taken<'a>(&self, seats: impl Iterator<Item = &'a Seat>) -> (usize, u64) {
        seats.fold((0, 0_u64), |(count, bytes), seat| {
            (count + 1, bytes.saturating_add(self.cost(seat)))
        })
    }

    /// One is always let in.
    fn fits(&self, (count, bytes): (usize, u64), agent: &str) -> bool {
        let within = bytes.saturating_add(self.expected(agent)) <= self.bounds.budget_bytes;
        count == 0 || count < self.bounds.max && within
    }

    fn sit(&mut self, agent: String) -> u64 {
        let id = self.tick();
        let seat = Seat {
            agent,
            pid: None,
            bytes: None,
            work: Work::Begins,
            passing: false,
            idle: None,
            kept: false,
        };
        self.seats.insert(id, seat);
        id
    }

    /// A place at once, if there is one and nobody waits for it.
    pub(super) fn try_sit(&mut self, agent: &str) -> Option<u64> {
        let free = self.people.is_empty() && self.fits(self.taken(self.seats.values()), agent);
        free.then(|| self.sit(agent.to_owned()))
    }

    /// Waits behind what this person waits for already; people take turns.
    pub(super) fn wait(
        &mut self,
        person: &str,
        agent: &str,
        permit: oneshot::Sender<Permit>,
        before: watch::Sender<u32>,
    ) -> u64 {
        let id = self.tick();
        let waiter = Waiter {
            id,
            agent: agent.to_owned(),
            permit,
            before,
        };
        match self.people.iter_mut().find(|(other, _)| other == person) {
            Some((_, waiting)) => waiting.push_back(waiter),
            None => self.people.push_back((person.to_owned(), VecDeque::from([waiter]))),
        }
        id
    }

    pub(super) fn wait_spare(&mut self, agent: &str, permit: oneshot::Sender<Permit>) -> u64 {
        let id = self.tick();
        self.spares.push_back(Spare {
            id,
            agent: agent.to_owned(),
            permit,
        });
        id
    }

    /// Room for one of this agent, and for another: a spare one leaves a place to those who come.
    fn is_roomy(&self, agent: &str) -> bool {
        let (count, bytes) = self.taken(self.seats.values());
        let two = self.expected(agent).saturating_mul(2);
        count + 2 <= self.bounds.max && bytes.saturating_add(two) <= self.bounds.budget_bytes
    }

    /// It does not wait any more.
    pub(super) fn forget(&mut self, waiter: u64) {
        for (_, waiting) in &mut self.people {
            waiting.retain(|other| other.id != waiter);
        }
        self.people.retain(|(_, waiting)| !waiting.is_empty());
        self.spares.retain(|spare| spare.id != waiter);
    }

    pub(super) fn is_waited_for(&self) -> bool {
        !self.people.is_empty()
    }

    /// All that wait, in the order in which they are served.
    fn line(&self) -> impl Iterator<Item = &Waiter> {
        let rounds = self.people.iter().map(|(_, waiting)| waiting.len()).max().unwrap_or(0);
        (0..rounds).flat_map(move |round| self.people.iter().filter_map(move |(_, waiting)| waiting.get(round)))
    }

    /// The agent that the first of them wants.
    fn first(&self) -> Option<String> {
        let (_, waiting) = self.people.front()?;
        Some(waiting.front()?.agent.clone())
    }

    /// Gives what is free to whoever is first, asks others to give way, and tells who waits how many are before them.
    pub(super) fn serve(&mut self) -> Vec<Grant> {
        let mut grants = Vec::new();
        while let Some(agent) = self.first()
            && self.fits(self.taken(self.seats.values()), &agent)
            && let Some((person, mut waiting)) = self.people.pop_front()
        {
            if let Some(waiter) = waiting.pop_front() {
                let seat = self.sit(agent);
                grants.push(Grant {
                    seat,
                    to: waiter.permit,
                });
            }
            if !waiting.is_empty() {
                self.people.push_back((person, waiting));
            }
        }
        while self.people.is_empty()
            && let Some(at) = self.spares.iter().position(|spare| self.is_roomy(&spare.agent))
            && let Some(spare) = self.spares.remove(at)
        {
            let seat = self.sit(spare.agent);
            grants.push(Grant { seat, to: spare.permit });
        }
        self.make_room();
        for (before, waiter) in (0..).zip(self.line()) {
            waiter
                .before
                .send_if_modified(|old| std::mem::replace(old, before) != before);
        }
        grants
    }

    /// As many as are needed for those that wait, and for the budget, are asked to give way: the longest idle first.
    fn make_room(&self) {
        let (mut count, mut bytes) = self.taken(self.seats.values().filter(|seat| !seat.gives_way()));
        let ask = |count: &mut usize, bytes: &mut u64| {
            let idle = self.seats.values().filter(|seat| !seat.gives_way());
            let idle = idle.filter_map(|seat| Some((seat, seat.idle.as_ref()?)));
            let Some((seat, idle)) = idle.min_by_key(|(_, idle)| idle.since) else {
                return false;
            };
            idle.give_way.cancel();
            *count -= 1;
            *bytes = bytes.saturating_sub(self.cost(seat));
            true
        };
        for waiter in self.line() {
            while !self.fits((count, bytes), &waiter.agent) {
                if !ask(&mut count, &mut bytes) {
                    return;
                }
            }
            count += 1;
            bytes = bytes.saturating_add(self.expected(&waiter.agent));
        }
        while bytes > self.bounds.budget_bytes && count > 1 && ask(&mut count, &mut bytes) {}
    }

    /// The process of this place; 0: there is one only while it works, which counts as what is not measured yet.
    pub(super) fn started(&mut self, seat: u64, pid: u32) {
        if let Some(seat) = self.seats.get_mut(&seat) {
            seat.pid = Some(pid).filter(|pid| *pid > 0);
            seat.passing = pid == 0;
            seat.bytes = None;
            seat.work = Work::Begins;
        }
    }

    pub(super) fn works(&mut self, seat: u64) {
        if let Some(seat) = self.seats.get_mut(&seat) {
            seat.work = Work::Shown;
        }
    }

    pub(super) fn idle(&mut self, seat: u64) -> CancellationToken {
        let (since, give_way) = (self.tick(), CancellationToken::new());
        if let Some(seat) = self.seats.get_mut(&seat) {
            seat.idle = Some(Idle {
                since,
                give_way: give_way.clone(),
            });
            seat.bytes = if seat.passing { Some(0) } else { seat.bytes };
        }
        give_way
    }

    /// Idle since before all others.
    pub(super) fn unused(&mut self, seat: u64) -> CancellationToken {
        let give_way = self.idle(seat);
        if let Some(idle) = self.seats.get_mut(&seat).and_then(|seat| seat.idle.as_mut()) {
            idle.since = 0;
        }
        give_way
    }

    pub(super) fn busy(&mut self, seat: u64) {
        if let Some(seat) = self.seats.get_mut(&seat) {
            seat.idle = None;
            seat.bytes = if seat.passing { None } else { seat.bytes };
        }
    }

    pub(super) fn keep(&mut self, seat: u64, background: bool) {
        if let Some(seat) = self.seats.get_mut(&seat) {
            seat.kept = background;
        }
    }

    /// Somebody waits, and every place there is is kept by what runs in the background: so many. Told once, until there is
    /// another place.
    pub(super) fn blocked(&mut self) -> Option<usize> {
        let kept = self.seats.values().all(|seat| seat.kept && seat.idle.is_none());
        let blocked = kept && self.is_waited_for();
        let told = self.told;
        self.told = kept && (told || blocked);
        (blocked && !told).then_some(self.seats.len())
    }

    /// It is on its way out: nobody else has to go in its stead.
    pub(super) fn leaves(&mut self, seat: u64) {
        let give_way = self.idle(seat);
        give_way.cancel();
    }

    pub(super) fn stand(&mut self, seat: u64) {
        self.seats.remove(&seat);
    }

    /// Whose memory is to be measured now.
    pub(super) fn pids(&mut self) -> Vec<u32> {
        for seat in self.seats.values_mut().filter(|seat| seat.work == Work::Shown) {
            seat.work = Work::Asked;
        }
        self.seats.values().filter_map(|seat| seat.pid).collect()
    }

    /// What was measured, by process. One on its way out lets go of its memory: it says nothing about others.
    pub(super) fn measured(&mut self, sizes: &HashMap<u32, u64>) {
        for (id, seat) in &mut self.seats {
            let Some(bytes) = seat.pid.and_then(|pid| sizes.get(&pid)) else {
                continue;
            };
            seat.bytes = Some(*bytes);
            if seat.work == Work::Asked {
                seat.work = Work::Known;
            }
            if seat.work == Work::Known && !seat.gives_way() {
                self.sizes.entry(seat.agent.clone()).or_default().learn(*id, *bytes);
            }
        }
    }
}
