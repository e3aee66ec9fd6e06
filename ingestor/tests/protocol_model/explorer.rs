//! Initial state and successor function → every reachable state, breadth first, once.
//!
//! States are compared whole, not by fingerprint, so nothing is skipped by a collision; the order is fixed, so
//! a counterexample is a shortest one and the same in every run. Edges are kept on request, to find states from
//! which the goal is out of reach.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hash, Hasher};

/// What the explorer walks.
pub trait System {
    type State: Copy + Eq + Hash;
    type Step: Copy;

    fn initial(&self) -> Self::State;
    /// Appends every step possible in `state` with the state it leads to.
    fn successors(&self, state: &Self::State, into: &mut Vec<(Self::Step, Self::State)>);
    /// The name of the property that `state` violates.
    fn violation(&self, state: &Self::State) -> Option<&'static str>;
}

/// The shortest way to a violated property.
pub struct Counterexample<S: System> {
    pub property: &'static str,
    pub steps: Vec<(S::Step, S::State)>,
}

/// Every reachable state, numbered in the order of discovery, or the first violation.
pub struct Exploration<S: System> {
    states: HashMap<S::State, u32, BuildHasherDefault<WordHasher>>,
    /// The state by which each was first reached.
    parents: Vec<u32>,
    pub transitions: usize,
    pub depth: usize,
    pub counterexample: Option<Counterexample<S>>,
}

pub fn explore<S: System>(system: &S) -> Exploration<S> {
    let initial = system.initial();
    let mut found = Exploration {
        states: HashMap::default(),
        parents: vec![0],
        transitions: 0,
        depth: 0,
        counterexample: None,
    };
    found.states.insert(initial, 0);
    let mut queue = VecDeque::from([(0, 0, initial)]);
    let mut successors = Vec::new();
    while let Some((number, depth, state)) = queue.pop_front() {
        found.depth = depth;
        if let Some(property) = system.violation(&state) {
            found.counterexample = Some(Counterexample { property, steps: found.way_to(system, number) });
            break;
        }
        system.successors(&state, &mut successors);
        found.transitions += successors.len();
        for (_, next) in successors.drain(..) {
            if let Entry::Vacant(vacant) = found.states.entry(next) {
                let next_number = u32::try_from(found.parents.len()).expect("bounds keep models small");
                vacant.insert(next_number);
                found.parents.push(number);
                queue.push_back((next_number, depth + 1, next));
            }
        }
    }
    found
}

impl<S: System> Exploration<S> {
    pub fn count(&self) -> usize {
        self.states.len()
    }

    pub fn any(&self, holds: impl Fn(&S::State) -> bool) -> bool {
        self.states.keys().any(holds)
    }

    /// The shortest way to a state from which no sequence of `allowed` steps leads to the goal.
    pub fn stuck(
        &self,
        system: &S,
        goal: impl Fn(&S::State) -> bool,
        allowed: impl Fn(S::Step) -> bool,
    ) -> Option<Vec<(S::Step, S::State)>> {
        let mut into = vec![Vec::new(); self.count()];
        let mut successors = Vec::new();
        let mut reached = vec![false; self.count()];
        let mut queue = VecDeque::new();
        for (state, &number) in &self.states {
            if goal(state) {
                reached[number as usize] = true;
                queue.push_back(number);
            }
            system.successors(state, &mut successors);
            for (_, next) in successors.drain(..).filter(|(step, _)| allowed(*step)) {
                into[self.states[&next] as usize].push(number);
            }
        }
        while let Some(number) = queue.pop_front() {
            for &before in &into[number as usize] {
                if !std::mem::replace(&mut reached[before as usize], true) {
                    queue.push_back(before);
                }
            }
        }
        let first = reached.iter().position(|reached| !reached)?;
        Some(self.way_to(system, u32::try_from(first).expect("a state number")))
    }

    fn way_to(&self, system: &S, number: u32) -> Vec<(S::Step, S::State)> {
        let mut numbers = vec![number];
        while numbers[numbers.len() - 1] != 0 {
            numbers.push(self.parents[numbers[numbers.len() - 1] as usize]);
        }
        let mut state = system.initial();
        let mut steps = Vec::new();
        for wanted in numbers.into_iter().rev().skip(1) {
            let mut successors = Vec::new();
            system.successors(&state, &mut successors);
            let step = successors.into_iter().find(|(_, next)| self.states.get(next) == Some(&wanted));
            let (step, next) = step.expect("each state is a successor of its parent");
            steps.push((step, next));
            state = next;
        }
        steps
    }
}

/// Multiply and rotate, word by word: states come from us, so nobody plans collisions.
#[derive(Default)]
pub struct WordHasher(u64);

impl Hasher for WordHasher {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    fn write_u8(&mut self, byte: u8) {
        self.write_u64(u64::from(byte));
    }

    fn write_isize(&mut self, word: isize) {
        self.write_u64(word.cast_unsigned() as u64);
    }

    fn finish(&self) -> u64 {
        self.0.rotate_left(26)
    }
}
