//! Charts: panels of bars, and curves.

use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;

use super::Result;
use super::numbers::short;

const FAREWELL: RGBColor = RGBColor(0, 110, 150);
const OTHERS: RGBColor = RGBColor(190, 190, 190);
const WIDTH: u32 = 960;
const BAR: i32 = 18;
const NAMES: i32 = 100;
const FONT: &str = "sans-serif";

/// A panel with one bar for each server. The bar of farewell is coloured.
#[derive(Debug)]
pub(crate) struct Panel {
    pub(crate) title: String,
    pub(crate) bars: Vec<(&'static str, f64)>,
}

/// Draws panels of bars, two in a row.
///
/// # Errors
///
/// If the file cannot be written.
pub(crate) fn bars(file: &Path, panels: &[Panel]) -> Result<()> {
    let most = panels.iter().map(|panel| panel.bars.len()).max();
    let rows = panels.len().div_ceil(2).max(1);
    let height = (most.unwrap_or_default() as i32 * BAR + 50).cast_unsigned();
    let size = (WIDTH, height * rows as u32);
    let root = SVGBackend::new(file, size).into_drawing_area();
    root.fill(&WHITE)?;
    for (area, panel) in root.split_evenly((rows, 2)).iter().zip(panels) {
        draw(area, panel)?;
    }
    root.present()?;
    Ok(())
}

fn draw(area: &DrawingArea<SVGBackend<'_>, Shift>, panel: &Panel) -> Result<()> {
    let title = (FONT, 15).into_font();
    area.draw(&Text::new(panel.title.clone(), (10, 12), title))?;
    let most = panel
        .bars
        .iter()
        .map(|bar| bar.1)
        .fold(f64::MIN_POSITIVE, f64::max);
    let (width, _) = area.dim_in_pixel();
    // The space to the right of the longest bar is for its number.
    let room = f64::from(width.cast_signed() - NAMES - 90);
    for (index, &(name, value)) in panel.bars.iter().enumerate() {
        let top = 36 + index as i32 * BAR;
        let right = NAMES + (value / most * room) as i32;
        let colour = if name == "farewell" { FAREWELL } else { OTHERS };
        let bar = Rectangle::new([(NAMES, top), (right, top + BAR - 4)], colour.filled());
        area.draw(&bar)?;
        let font = || (FONT, 12).into_font();
        area.draw(&Text::new(name, (10, top), font()))?;
        area.draw(&Text::new(short(value), (right + 6, top), font()))?;
    }
    Ok(())
}

/// A name and its points.
pub(crate) type Curve = (&'static str, Vec<(f64, f64)>);

/// Draws curves on common axes that start at zero.
///
/// # Errors
///
/// If the file cannot be written.
pub(crate) fn curves(file: &Path, across: &str, up: &str, curves: &[Curve]) -> Result<()> {
    let points = || curves.iter().flat_map(|curve| &curve.1);
    let right = points().map(|point| point.0).fold(1.0, f64::max);
    let top = points().map(|point| point.1).fold(1.0, f64::max) * 1.1;
    let root = SVGBackend::new(file, (WIDTH / 2, 320)).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .margin(14)
        .x_label_area_size(40)
        .y_label_area_size(60)
        .build_cartesian_2d(0.0..right, 0.0..top)?;
    chart
        .configure_mesh()
        .x_desc(across)
        .y_desc(up)
        .x_label_formatter(&|value| short(*value))
        .y_label_formatter(&|value| short(*value))
        .light_line_style(TRANSPARENT)
        .draw()?;
    for ((name, points), colour) in curves.iter().zip([FAREWELL, OTHERS]) {
        chart
            .draw_series(LineSeries::new(points.clone(), colour.stroke_width(2)))?
            .label(*name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour));
    }
    chart
        .configure_series_labels()
        .background_style(WHITE)
        .position(SeriesLabelPosition::LowerRight)
        .draw()?;
    root.present()?;
    Ok(())
}
