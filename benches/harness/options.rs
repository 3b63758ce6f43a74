//! The options after `cargo bench --bench NAME --`.

use std::env;
use std::path::Path;
use std::path::PathBuf;

use super::Result;

/// What to run, and for how long.
#[derive(Debug, Default)]
pub(crate) struct BenchOptions {
    /// `--rounds N`: number of rounds of `drain` and `loss`.
    pub(crate) rounds: Option<usize>,
    /// `--pairs N`: number of pairs that `load` measures for each comparison.
    pub(crate) pairs: Option<usize>,
    /// `--seconds S`: duration of each measurement, for all scenarios.
    pub(crate) seconds: Option<u64>,
    /// `--only a,b`: run only options servers.
    pub(crate) only: Vec<String>,
    /// `--base PROGRAM`: the program `farewell` of `benches/peers` from another
    /// commit, which `load` compares with this one.
    pub(crate) base: Option<String>,
    /// `--peers FOLDER`: where the servers are that `files` compares farewell with, if
    /// they are not in `PATH`.
    pub(crate) peers: Option<PathBuf>,
    /// `--scenario a,b`: run only options scenarios.
    pub(crate) scenarios: Vec<String>,
    /// `--shared-session`: run all processes in one process session.
    pub(crate) shared_session: bool,
    /// `--quick`: one round, or one pair of one second.
    pub(crate) quick: bool,
    /// `--write`: write `RESULTS.md` also after a partial run.
    pub(crate) write: bool,
    /// The options as they were typed, for the results.
    words: Vec<String>,
}

impl BenchOptions {
    /// # Errors
    ///
    /// If an option is unknown or has no value.
    pub(crate) fn of_process() -> Result<Self> {
        let mut options = Self::default();
        // cargo adds the option `--bench`.
        let mut words = env::args().skip(1).filter(|word| word != "--bench");
        while let Some(option) = words.next() {
            options.words.push(option.clone());
            let mut value = || {
                let value = words.next().ok_or(format!("{option} needs a value"))?;
                options.words.push(value.clone());
                Ok::<_, String>(value)
            };
            match option.as_str() {
                "--rounds" => options.rounds = Some(value()?.parse()?),
                "--pairs" => options.pairs = Some(value()?.parse()?),
                "--seconds" => options.seconds = Some(value()?.parse()?),
                "--base" => options.base = Some(value()?),
                "--only" => options.only = list(&value()?),
                "--peers" => options.peers = Some(value()?.into()),
                "--scenario" => options.scenarios = list(&value()?),
                "--shared-session" => options.shared_session = true,
                "--quick" => options.quick = true,
                "--write" => options.write = true,
                _ => return Err(format!("unknown option {option}: use {ALL}").into()),
            }
        }
        if options.quick {
            options.rounds = options.rounds.or(Some(1));
            options.pairs = options.pairs.or(Some(1));
            options.seconds = options.seconds.or(Some(1));
        }
        Ok(options)
    }

    /// Whether a name is in the list. An empty list selects all names.
    pub(crate) fn chosen(names: &[String], name: &str) -> bool {
        names.is_empty() || names.iter().any(|chosen| chosen == name)
    }

    /// Whether to write the figures to `RESULTS.md`. A partial run does not
    /// replace the figures of a whole one, unless `--write` is given.
    pub(crate) fn writes(&self) -> bool {
        let whole = self.only.is_empty() && self.scenarios.is_empty() && !self.shared_session;
        self.write || (whole && !self.quick)
    }

    /// The command that repeats the run. It contains PROGRAM or FOLDER in place of a
    /// path, which is valid only on this machine.
    pub(crate) fn command(&self, bench: &str) -> String {
        let (base, peers) = (self.base.as_deref(), self.peers.as_deref());
        let word = |word: &String| match word {
            word if base == Some(word) => "PROGRAM".to_owned(),
            word if peers == Some(Path::new(word)) => "FOLDER".to_owned(),
            word => word.clone(),
        };
        let words: Vec<String> = self.words.iter().map(word).collect();
        match words.as_slice() {
            [] => format!("cargo bench --bench {bench}"),
            words => format!("cargo bench --bench {bench} -- {}", words.join(" ")),
        }
    }
}

const ALL: &str = "--rounds N, --pairs N, --seconds S, --only SERVER,…, --scenario NAME,…, \
                   --base PROGRAM, --peers FOLDER, --shared-session, --quick, --write";

fn list(names: &str) -> Vec<String> {
    names.split(',').map(str::to_owned).collect()
}
