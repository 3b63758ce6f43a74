//! Measures servers in pairs: A B, then B A, and so on, while both run.
//!
//! The speed of the machine drifts by more than the servers differ. Two
//! measurements that follow each other have about the same drift, so their
//! ratio does not depend on it. The result is the median of these ratios.

use crate::harness::process::Session;
use crate::measure::PreparedServer;
use crate::measure::Sample;
use crate::plan::Group;
use crate::tables::Comparison;
use crate::tables::Outcome;
use crate::tables::Ratios;
use crate::tables::Row;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Amount {
    pub(crate) pairs: usize,
    pub(crate) seconds: u64,
    pub(crate) session: Session,
}

/// Measures a group of servers and adds the figures to the outcome. A server
/// that fails is named, and the other servers are still measured.
pub(crate) fn measure(group: &Group, amount: Amount, outcome: &mut Outcome) {
    let mut run = Run {
        group,
        amount,
        servers: Vec::new(),
        rows: Vec::new(),
        notes: Vec::new(),
    };
    run.start();
    let comparisons = run.in_pairs();
    run.alone();
    for (side, row) in group.sides.iter().zip(&mut run.rows) {
        let server = run.servers[side.server].as_ref();
        row.idle = server.and_then(PreparedServer::idle);
    }
    outcome.rows.append(&mut run.rows);
    outcome.comparisons.extend(comparisons);
    outcome.notes.append(&mut run.notes);
}

/// The servers of a group, and their figures so far.
struct Run<'a> {
    group: &'a Group,
    amount: Amount,
    /// The servers of the group. `None` for a server that did not start.
    servers: Vec<Option<PreparedServer>>,
    /// One row for each side of the group.
    rows: Vec<Row>,
    notes: Vec<String>,
}

impl Run<'_> {
    fn start(&mut self) {
        let group = self.group;
        for (index, server) in group.servers.iter().enumerate() {
            let side = group.sides.iter().find(|side| side.server == index);
            let ready = side.and_then(|side| {
                let started = PreparedServer::start(server, &side.work, self.amount.session);
                if let Err(error) = &started {
                    self.notes.push(format!("{} failed: {error}", side.label));
                }
                started.ok()
            });
            self.servers.push(ready);
        }
        self.rows = group
            .sides
            .iter()
            .map(|side| Row {
                label: side.label.clone(),
                peer: group.servers[side.server].peer,
                samples: Vec::new(),
                idle: None,
            })
            .collect();
    }

    /// Measures each comparison in turn, and then all of them again in the
    /// other order.
    fn in_pairs(&mut self) -> Vec<Comparison> {
        let label = |side: usize| self.group.sides[side].label.clone();
        let mut compared: Vec<Comparison> = self
            .group
            .comparisons
            .iter()
            .map(|&(this, other)| Comparison {
                this: label(this),
                other: label(other),
                peer: self.group.servers[self.group.sides[other].server].peer,
                ratios: Vec::new(),
            })
            .collect();
        for pair in 0..self.amount.pairs {
            for (compared, &(this, other)) in compared.iter_mut().zip(&self.group.comparisons) {
                if !self.runs(this) || !self.runs(other) {
                    continue;
                }
                let (this, other) = match pair % 2 {
                    0 => {
                        let this = self.sample(this);
                        (this, self.sample(other))
                    }
                    _ => {
                        let other = self.sample(other);
                        (self.sample(this), other)
                    }
                };
                if let (Some(this), Some(other)) = (this, other) {
                    compared.ratios.push(Ratios::of(&this, &other));
                }
            }
        }
        compared
    }

    /// Measures the sides that are not compared, fewer times.
    fn alone(&mut self) {
        let compared = |side: usize| {
            let mut comparisons = self.group.comparisons.iter();
            comparisons.any(|&(this, other)| this == side || other == side)
        };
        let alone: Vec<usize> = (0..self.group.sides.len())
            .filter(|&side| !compared(side) && self.runs(side))
            .collect();
        for _ in 0..self.amount.pairs.div_ceil(3) {
            for &side in &alone {
                // An error is in the notes.
                let _ = self.sample(side);
            }
        }
    }

    fn runs(&self, side: usize) -> bool {
        self.servers[self.group.sides[side].server].is_some()
    }

    fn sample(&mut self, side: usize) -> Option<Sample> {
        let (index, side) = (side, &self.group.sides[side]);
        let server = self.servers[side.server].as_ref()?;
        eprint!(".");
        match server.measure(&side.work, self.amount.seconds) {
            Ok(sample) => {
                self.rows[index].samples.push(sample.clone());
                Some(sample)
            }
            Err(error) => {
                let note = format!("{} failed: {error}", side.label);
                // The same error is noted once.
                if !self.notes.contains(&note) {
                    self.notes.push(note);
                }
                None
            }
        }
    }
}
