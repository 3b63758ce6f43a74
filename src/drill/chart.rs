//! The outcome as a picture: what became of requests, by the time from the stop.

use std::error::Error;
use std::ops::Range;
use std::path::Path;

use plotters::prelude::*;

use super::args::Options;
use super::outcome::Outcome;
use super::round;
use super::tally::Class;
use super::tally::Tally;
use super::tally::Timeline;

const SIZE: (u32, u32) = (960, 480);

/// So much time before the stop is shown at least, in milliseconds, and more
/// only if as much after it is.
const BEFORE_MILLIS: i64 = 200;

/// So much of what has happened is shown; the rest of a long tail is not.
const SHOWN_PERMILLE: u64 = 998;

/// What is drawn as one line.
struct Series {
    label: &'static str,
    classes: &'static [Class],
    color: RGBColor,
}

const SERIES: [Series; 3] = [
    Series {
        label: "answered",
        classes: &[
            Class::AnsweredBefore,
            Class::AnsweredAfter,
            Class::Answered5xx,
        ],
        color: RGBColor(76, 145, 65),
    },
    Series {
        label: "refused or unprocessed",
        classes: &[Class::Refused, Class::Unprocessed],
        color: RGBColor(70, 110, 190),
    },
    Series {
        label: "lost or truncated",
        classes: &[Class::Lost, Class::Truncated],
        color: RGBColor(200, 40, 40),
    },
];

/// Draws all rounds in one.
pub(super) fn draw(
    file: &Path,
    options: &Options,
    outcome: &Outcome,
) -> Result<(), Box<dyn Error>> {
    let timeline = &outcome.timeline;
    let shown = shown(options, timeline);
    let slots: Vec<i64> = shown
        .clone()
        .step_by(Timeline::SLOT_MILLIS as usize)
        .collect();
    let count = |series: &Series, slot: i64| sum(&timeline.at(slot), series.classes);
    let counts = SERIES
        .iter()
        .flat_map(|series| slots.iter().map(|&slot| count(series, slot)));
    let most = counts.max().unwrap_or_default().max(1);

    let root = SVGBackend::new(file, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption(caption(outcome), ("sans-serif", 18))
        .margin(16)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d(shown, 0..most + most / 10 + 1)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc("milliseconds from the stop")
        .y_desc(format!("requests in {} ms", Timeline::SLOT_MILLIS))
        .draw()?;
    for series in &SERIES {
        // Where there is nothing, there is no line: it would hide another's.
        let is_some = |slot: &&i64| count(series, **slot) > 0;
        let first = slots
            .iter()
            .position(|slot| is_some(&slot))
            .unwrap_or_default();
        let last = slots
            .iter()
            .rposition(|slot| is_some(&slot))
            .map_or(first, |last| last + 1);
        let steps = slots[first..last].iter().flat_map(|&slot| {
            let count = count(series, slot);
            [(slot, count), (slot + Timeline::SLOT_MILLIS, count)]
        });
        let color = series.color;
        chart
            .draw_series(
                AreaSeries::new(steps, 0, color.mix(0.2)).border_style(color.stroke_width(2)),
            )?
            .label(series.label)
            .legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 14, y + 5)], color.filled()));
    }
    chart.draw_series(LineSeries::new([(0, 0), (0, most)], BLACK))?;
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .draw()?;
    root.present()?;
    Ok(())
}

fn caption(outcome: &Outcome) -> String {
    let stops = outcome.rounds.len();
    let plural = if stops == 1 { "" } else { "s" };
    format!(
        "{stops} stop{plural}: {} lost or truncated",
        outcome.failed()
    )
}

/// From when all rounds were under load to when almost everything has happened,
/// the last loss too.
fn shown(options: &Options, timeline: &Timeline) -> Range<i64> {
    let all: u64 = timeline
        .slots()
        .map(|(_, tally)| sum(tally, &Class::ALL))
        .sum();
    let mut end = 0;
    let mut seen = 0;
    for (slot, tally) in timeline.slots() {
        if seen * 1000 < all * SHOWN_PERMILLE || tally.failed() > 0 {
            end = slot;
        }
        seen += sum(tally, &Class::ALL);
    }
    let end = end.max(0) + 5 * Timeline::SLOT_MILLIS;
    let loaded = round::load_min(options).as_millis() as i64 / Timeline::SLOT_MILLIS;
    let before = (loaded * Timeline::SLOT_MILLIS).min(end.max(BEFORE_MILLIS));
    -before.max(Timeline::SLOT_MILLIS)..end
}

fn sum(tally: &Tally, classes: &[Class]) -> u64 {
    classes.iter().map(|&class| tally[class]).sum()
}
