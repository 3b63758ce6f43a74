//! The result as a chart: how requests ended, over the time from the stop.
//!
//! ```text
//! the command
//! clients, stop and rounds, and the error if there is one
//!
//! mode: lost per stop       mode: lost per stop        legend
//! [ stacked areas ]         [ stacked areas ]
//! ```

use std::error::Error;
use std::ops::Range;
use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;

use super::args::DrillOptions;
use super::outcome::Class;
use super::outcome::ClassCounts;
use super::outcome::Timeline;
use super::result::DrillResult;
use super::result::ModeTotal;
use super::table::counted;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn Error>>;

const WIDTH: u32 = 1000;
const MARGIN: i32 = 16;
const TITLE_HEIGHT: u32 = 84;
const PANEL_HEIGHT: u32 = 280;
const LEGEND_WIDTH: u32 = 190;

/// Milliseconds before the stop that are always shown.
const BEFORE_MILLIS: i64 = 50;

/// Most bins in a panel.
const BINS_MAX: i64 = 80;

/// Width of a character in a title line, as a share of the font size. It is
/// large enough for any font.
const CHAR_WIDTH: f64 = 0.52;

const FONT: &str = "sans-serif";
const INK: RGBColor = RGBColor(40, 40, 40);
const FAINT: RGBColor = RGBColor(110, 110, 110);
const ALARM: RGBColor = RGBColor(200, 40, 40);

/// One area of a panel. It is drawn on top of the series before it.
struct Series {
    label: &'static str,
    classes: &'static [Class],
    color: RGBColor,
}

const SERIES: [Series; 4] = [
    Series {
        label: "answered",
        classes: &[Class::AnsweredBefore, Class::AnsweredAfter],
        color: RGBColor(120, 180, 110),
    },
    Series {
        label: "answered other or 5xx",
        classes: &[Class::AnsweredOther, Class::Answered5xx],
        color: RGBColor(235, 170, 50),
    },
    Series {
        label: "refused or unprocessed",
        classes: &[Class::ConnectionRefused, Class::Unprocessed],
        color: RGBColor(150, 175, 215),
    },
    Series {
        label: "lost or truncated",
        classes: &[Class::Lost, Class::Truncated],
        color: ALARM,
    },
];

/// Draws one panel for each mode.
pub(super) fn draw(file: &Path, options: &DrillOptions, result: &DrillResult) -> Drawn {
    let totals = result.totals();
    let columns = if totals.len() > 2 { 2 } else { 1 };
    let rows = totals.len().div_ceil(columns);
    let height = TITLE_HEIGHT + PANEL_HEIGHT * rows as u32;
    let root = SVGBackend::new(file, (WIDTH, height)).into_drawing_area();
    root.fill(&WHITE)?;
    let (title, rest) = root.split_vertically(TITLE_HEIGHT);
    let (panels, legend) = rest.split_horizontally(WIDTH - LEGEND_WIDTH);
    draw_title(&title, options, result)?;
    if !totals.is_empty() {
        let panels = panels.split_evenly((rows, columns));
        for ((panel, total), (_, timeline)) in panels.iter().zip(&totals).zip(&result.timelines) {
            draw_panel(panel, total, timeline)?;
        }
        draw_legend(&legend)?;
    }
    root.present()?;
    Ok(())
}

fn draw_title(area: &Area<'_>, options: &DrillOptions, result: &DrillResult) -> Drawn {
    let words = options.command.iter().map(|word| word.to_string_lossy());
    let command = words.collect::<Vec<_>>().join(" ");
    let how = format!(
        "{}, stopped by {}: {} in all",
        counted(options.clients as u64, "client"),
        options.stop.name(),
        counted(result.rounds.len() as u64, "stop"),
    );
    let error = result.error.as_ref().map(ToString::to_string);
    let error = error.unwrap_or_default();
    // The advice in the second part of the message is printed on the terminal
    // only.
    let what_happened = error.split("; ").next().unwrap_or_default();
    let lines = [
        (command.as_str(), 20, &INK),
        (&how, 14, &FAINT),
        (what_happened, 14, &ALARM),
    ];
    let mut y = MARGIN;
    for (line, size, color) in lines {
        let width = f64::from(WIDTH) - 2.0 * f64::from(MARGIN);
        let fitting = (width / (CHAR_WIDTH * f64::from(size))) as usize;
        let style = (FONT, size).into_font().color(color);
        area.draw_text(&shortened(line, fitting), &style, (MARGIN, y))?;
        y += size + 6;
    }
    Ok(())
}

fn draw_panel(area: &Area<'_>, total: &ModeTotal, timeline: &Timeline) -> Drawn {
    let scale = Scale::of(timeline);
    let bins = scale.bins(timeline, total.rounds);
    let heights = bins.iter().map(|(_, counts)| counts.iter().sum());
    let most = heights.fold(0.0, f64::max).max(1.0 / total.rounds as f64);
    let is_bad = total.by_class.lost_or_truncated() > 0 || total.did_not_stop > 0;
    let color = if is_bad { &ALARM } else { &INK };

    let mut chart = ChartBuilder::on(area)
        .caption(caption(total), (FONT, 16).into_font().color(color))
        .margin(MARGIN)
        .x_label_area_size(40)
        .y_label_area_size(56)
        .build_cartesian_2d(scale.shown.clone(), 0.0..most * 1.08)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(INK.mix(0.1))
        .axis_style(FAINT)
        .label_style((FONT, 12).into_font().color(&INK))
        .axis_desc_style((FONT, 12).into_font().color(&FAINT))
        .x_desc("milliseconds from the stop")
        .y_desc(format!("requests per stop in {} ms", scale.bin))
        .y_label_formatter(&|height| match height.fract() {
            0.0 => format!("{height:.0}"),
            _ => format!("{height:.1}"),
        })
        .x_labels(8)
        .y_labels(5)
        .draw()?;
    // The highest area is drawn first, and each later one covers its lower
    // part.
    for top in (0..SERIES.len()).rev() {
        let steps = bins.iter().flat_map(|(start, counts)| {
            let height: f64 = counts[..=top].iter().sum();
            [(*start, height), (start + scale.bin, height)]
        });
        chart.draw_series(AreaSeries::new(steps, 0.0, SERIES[top].color.filled()))?;
    }
    let stop = [(0, 0.0), (0, most * 1.08)];
    chart.draw_series(LineSeries::new(stop, INK.stroke_width(1)))?;
    Ok(())
}

fn draw_legend(area: &Area<'_>) -> Drawn {
    let style = (FONT, 13).into_font().color(&INK);
    let mut y = 3 * MARGIN;
    // In the order of the areas in a panel.
    for series in SERIES.iter().rev() {
        area.draw(&Rectangle::new(
            [(0, y), (14, y + 14)],
            series.color.filled(),
        ))?;
        area.draw_text(series.label, &style, (22, y + 1))?;
        y += 24;
    }
    area.draw(&PathElement::new([(7, y), (7, y + 14)], INK))?;
    area.draw_text("the stop", &style, (22, y + 1))?;
    Ok(())
}

fn caption(total: &ModeTotal) -> String {
    let mut caption = format!(
        "{}: {:.1} lost per stop",
        total.mode.name(),
        total.lost_per_stop()
    );
    if total.by_class[Class::Truncated] > 0 {
        caption += &format!(", {:.1} truncated", total.truncated_per_stop());
    }
    if total.did_not_stop > 0 {
        caption += &format!(", {} of {} did not stop", total.did_not_stop, total.rounds);
    }
    caption
}

/// The time axis of a panel, in milliseconds.
struct Scale {
    /// The range is a whole number of bins, and one bin begins at the stop.
    shown: Range<i64>,
    bin: i64,
}

impl Scale {
    /// From shortly before the stop to shortly after the last event.
    fn of(timeline: &Timeline) -> Self {
        let last = timeline.last().unwrap_or_default().max(0) + 1;
        let before = BEFORE_MILLIS.max(last / 20);
        let after = last + last / 20;
        // Bins of 1, 2, 5, 10, 20, 50 milliseconds and so on.
        let mut bins = (0..18).flat_map(|power| [1, 2, 5].map(|digit| digit * 10_i64.pow(power)));
        let bin = bins
            .find(|bin| (before + after) / bin < BINS_MAX)
            .expect("the largest bin is longer than any timeout");
        let whole = |millis: i64| (millis + bin - 1) / bin * bin;
        Self {
            shown: -whole(before)..whole(after + 1),
            bin,
        }
    }

    /// The start of each bin, and how many requests of each series ended in it
    /// per stop, on average.
    fn bins(&self, timeline: &Timeline, stops: usize) -> Vec<(i64, [f64; SERIES.len()])> {
        let starts = self.shown.clone().step_by(self.bin as usize);
        let bin = |start| {
            let sum = timeline.sum(start..start + self.bin);
            let mean = |series: &Series| count(&sum, series) as f64 / stops as f64;
            (start, SERIES.each_ref().map(mean))
        };
        starts.map(bin).collect()
    }
}

fn count(by_class: &ClassCounts, series: &Series) -> u64 {
    series.classes.iter().map(|&class| by_class[class]).sum()
}

/// Keeps the beginning and the end of a line that is too long.
fn shortened(line: &str, chars_max: usize) -> String {
    let chars: Vec<char> = line.chars().collect();
    if chars.len() <= chars_max {
        return line.to_owned();
    }
    let (begin, end) = (chars_max * 2 / 3, chars_max / 3 - 1);
    let mut short = String::from_iter(&chars[..begin]);
    short.push('…');
    short.extend(&chars[chars.len() - end..]);
    short
}

#[cfg(test)]
mod tests {
    use std::time::Duration;
    use std::time::Instant;

    use crate::outcome::Attempt;
    use crate::outcome::Outcome;
    use crate::outcome::RoundCounts;

    use super::*;

    /// A timeline of responses that came at these milliseconds from the stop.
    fn timeline(ended: &[i64]) -> Timeline {
        let mut timeline = Timeline::default();
        let start = Instant::now();
        let stop = start + Duration::from_secs(100);
        let attempts = ended.iter().map(|millis| Attempt {
            outcome: Outcome::Answered(200),
            ended: start + Duration::from_millis((100_000 + millis) as u64),
        });
        RoundCounts::of(&attempts.collect::<Vec<_>>(), stop, &mut timeline);
        timeline
    }

    #[test]
    fn the_time_axis_fits_the_events_into_whole_bins() {
        for (ended, shown, bin) in [
            (vec![], -50..2, 1),
            (vec![-200, 3], -50..5, 1),
            (vec![20], -50..23, 1),
            (vec![99], -50..106, 2),
            (vec![-300, 3000], -150..3200, 50),
        ] {
            let scale = Scale::of(&timeline(&ended));
            assert_eq!((&scale.shown, scale.bin), (&shown, bin), "{ended:?}");
        }
    }

    #[test]
    fn a_bin_is_the_mean_over_all_stops() {
        let timeline = timeline(&[-200, -2, -1, 0, 1, 98, 99]);
        let bins = Scale::of(&timeline).bins(&timeline, 2);
        let bin = |start| bins.iter().find(|bin| bin.0 == start).map(|bin| bin.1);
        assert_eq!(bin(-2), Some([1.0, 0.0, 0.0, 0.0]));
        assert_eq!(bin(0), Some([1.0, 0.0, 0.0, 0.0]));
        assert_eq!(bin(98), Some([1.0, 0.0, 0.0, 0.0]));
        assert_eq!(bin(50), Some([0.0; 4]));
    }

    #[test]
    fn a_long_line_is_shortened_in_the_middle() {
        assert_eq!(shortened("12345678901", 10), "123456…01");
        assert_eq!(shortened("1234567890", 10), "1234567890");
    }
}
