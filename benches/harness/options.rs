//! The words after `cargo bench --bench NAME --`.

use std::env;

use super::Result;

/// What to run, and for how long.
#[derive(Debug, Default)]
pub(crate) struct Options {
    /// `--rounds N`: how often `drain` and `loss` measure.
    pub(crate) rounds: Option<usize>,
    /// `--pairs N`: how many pairs `load` measures of each two neighbours.
    pub(crate) pairs: Option<usize>,
    /// `--seconds S`: how long each measurement takes, instead of the same.
    pub(crate) seconds: Option<u64>,
    /// `--only a,b`: these servers alone.
    pub(crate) only: Vec<String>,
    /// `--base PROGRAM`: a farewell of `benches/peers` that was built elsewhere,
    /// which `load` compares this one with.
    pub(crate) base: Option<String>,
    /// `--scenario a,b`: these alone.
    pub(crate) scenarios: Vec<String>,
    /// `--shared-session`: every process in one process session.
    pub(crate) shared_session: bool,
    /// `--quick`: one round or pair of a second, for a look.
    pub(crate) quick: bool,
    /// `--write`: into `RESULTS.md` although it is not the whole run.
    pub(crate) write: bool,
    /// As it was typed, for the record.
    words: Vec<String>,
}

impl Options {
    /// # Errors
    ///
    /// A word that is no option, or an option without its value.
    pub(crate) fn of_process() -> Result<Self> {
        let mut these = Self::default();
        // Cargo adds a `--bench` of its own.
        let mut words = env::args().skip(1).filter(|word| word != "--bench");
        while let Some(option) = words.next() {
            these.words.push(option.clone());
            let mut value = || {
                let value = words.next().ok_or(format!("{option} needs a value"))?;
                these.words.push(value.clone());
                Ok::<_, String>(value)
            };
            match option.as_str() {
                "--rounds" => these.rounds = Some(value()?.parse()?),
                "--pairs" => these.pairs = Some(value()?.parse()?),
                "--seconds" => these.seconds = Some(value()?.parse()?),
                "--base" => these.base = Some(value()?),
                "--only" => these.only = list(&value()?),
                "--scenario" => these.scenarios = list(&value()?),
                "--shared-session" => these.shared_session = true,
                "--quick" => these.quick = true,
                "--write" => these.write = true,
                _ => return Err(format!("{option} is no option; there are {ALL}").into()),
            }
        }
        if these.quick {
            these.rounds = these.rounds.or(Some(1));
            these.pairs = these.pairs.or(Some(1));
            these.seconds = these.seconds.or(Some(1));
        }
        Ok(these)
    }

    /// Whether a server or a scenario was chosen; all are if none was named.
    pub(crate) fn chosen(names: &[String], name: &str) -> bool {
        names.is_empty() || names.iter().any(|chosen| chosen == name)
    }

    /// Whether `RESULTS.md` gets the figures: those of a part of the run do not
    /// take the place of the whole one's unasked.
    pub(crate) fn writes(&self) -> bool {
        let whole = self.only.is_empty() && self.scenarios.is_empty() && !self.shared_session;
        self.write || (whole && !self.quick)
    }

    /// The command that does it again. The path of a program is of this machine
    /// alone, and does not go into the record.
    pub(crate) fn command(&self, bench: &str) -> String {
        let base = self.base.as_deref();
        let word = |word: &String| match base {
            Some(path) if path == word => "PROGRAM".to_owned(),
            _ => word.clone(),
        };
        let words: Vec<String> = self.words.iter().map(word).collect();
        match words.as_slice() {
            [] => format!("cargo bench --bench {bench}"),
            words => format!("cargo bench --bench {bench} -- {}", words.join(" ")),
        }
    }
}

const ALL: &str = "--rounds N, --pairs N, --seconds S, --only SERVER,…, --scenario NAME,…, \
                   --base PROGRAM, --shared-session, --quick, --write";

fn list(names: &str) -> Vec<String> {
    names.split(',').map(str::to_owned).collect()
}
