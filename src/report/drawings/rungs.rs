//! What cuts did: how configurations stood at each, and whether that told how they end.

use std::collections::HashMap;

use super::super::chart::Axis as Ticks;
use super::super::figure::{Figure, Ink, Style};
use super::super::statistics::mean;
use super::super::view::View;
use super::Frame;

/// A configuration on its way through the cuts.
#[derive(Clone, Debug)]
pub struct Course {
    /// Its place in the view's groups.
    pub group: usize,
    /// Its mean accuracy at each cut that it reached.
    pub at_cuts: Vec<f64>,
    /// That at its end, if it got there.
    pub at_end: Option<f64>,
}

/// The ways of all configurations; one that diverged has none from there on.
pub fn courses(view: &View<'_>) -> Vec<Course> {
    let members = view.groups.groups.iter().enumerate();
    let group_of: HashMap<&str, usize> = members
        .flat_map(|(at, group)| group.members.iter().map(move |member| (member.trial.id.as_str(), at)))
        .collect();
    let course =
        |(group, of): (usize, &super::super::groups::Group<'_>)| Course { group, at_cuts: vec![], at_end: of.mean };
    let mut courses: Vec<Course> = view.groups.groups.iter().enumerate().map(course).collect();
    for (cut, decision) in view.cuts.iter().enumerate() {
        let mut accuracies: HashMap<usize, Vec<Option<f64>>> = HashMap::new();
        for standing in &decision.trials {
            if let Some(&group) = group_of.get(standing.trial.as_str()) {
                accuracies.entry(group).or_default().push(standing.val_accuracy);
            }
        }
        for (group, of_group) in accuracies {
            let of_group = of_group.into_iter().collect::<Option<Vec<f64>>>().and_then(|all| mean(&all));
            let course = &mut courses[group].at_cuts;
            course.extend(of_group.filter(|_| course.len() == cut));
        }
    }
    courses
}

/// Accuracy at each cut and at the end, a line a configuration: what went on to the end in colour.
pub fn lines(view: &View<'_>, courses: &[Course], style: Style) -> Option<Figure> {
    let shares: Vec<f64> = view.cuts.iter().map(|decision| 100.0 * decision.at).chain([100.0]).collect();
    (shares.len() > 1).then_some(())?;
    let all = || courses.iter().flat_map(|course| course.at_cuts.iter().copied().chain(course.at_end));
    let upright = Ticks::around("validation accuracy, %", all().map(|accuracy| 100.0 * accuracy));
    let level = Ticks::between("share of a trial's iterations, %", 0.0, 100.0);
    let font = style.font;
    let (size, left) = ((style.width, 280.0), Frame::left_of(&upright, font));
    let frame = Frame { left, top: font, right: style.width - 1.5 * font, bottom: size.1 - 3.6 * font };
    let ended = courses.iter().filter(|course| course.at_end.is_some()).count();
    let description = format!("{} configurations at {} cuts; {ended} reached the end", courses.len(), view.cuts.len());
    let mut figure = Figure::new("rungs-lines", "On the way", description, size);
    frame.upright(&mut figure, &upright, font);
    frame.level(&mut figure, &level, font);
    for share in &shares[..shares.len() - 1] {
        let x = frame.x(&level, *share);
        figure.line((x, frame.top), (x, frame.bottom), Ink::Muted, 1.0);
    }
    let draw = |figure: &mut Figure, course: &Course, ink: Ink, width: f64, opacity: f64| {
        let values = course.at_cuts.iter().copied().chain(course.at_end);
        let at = |(share, accuracy): (&f64, f64)| (frame.x(&level, *share), frame.y(&upright, 100.0 * accuracy));
        let points: Vec<(f64, f64)> = shares.iter().zip(values).map(at).collect();
        if let &[(x, y)] = &points[..] {
            figure.dot((x, y), 1.6, ink, "");
        }
        figure.path(points, ink, width, opacity);
    };
    // Groups are in the order of their rank: the best is drawn last.
    let dropped = courses.iter().rev().filter(|course| course.at_end.is_none());
    dropped.for_each(|course| draw(&mut figure, course, Ink::Muted, 1.0, 0.5));
    let ended: Vec<&Course> = courses.iter().filter(|course| course.at_end.is_some()).collect();
    ended.iter().skip(1).rev().for_each(|course| draw(&mut figure, course, Ink::Category(0), 1.4, 0.8));
    ended.iter().take(1).for_each(|course| draw(&mut figure, course, Ink::Category(1), 2.4, 1.0));
    Some(figure)
}

/// Of the configurations that reached the end: their ranks at a cut, from 0, and at the end, 1 the best.
pub fn ranks(courses: &[Course], cut: usize) -> Vec<(f64, f64)> {
    let both: Vec<(f64, f64)> =
        courses.iter().filter_map(|course| Some((*course.at_cuts.get(cut)?, course.at_end?))).collect();
    let rank = |of: &dyn Fn(&(f64, f64)) -> f64| {
        // Equals share the mean of their ranks.
        let place = |own: f64| {
            let (better, equal) = both.iter().map(of).fold((0, 0), |(better, equal), other| {
                (better + usize::from(other > own), equal + usize::from(other == own))
            });
            better as f64 + (equal as f64 + 1.0) / 2.0
        };
        both.iter().map(|one| place(of(one))).collect::<Vec<f64>>()
    };
    rank(&|both| both.0).into_iter().zip(rank(&|both| both.1)).collect()
}

/// Rank at a cut, from 0, against rank at the end; none of fewer than three configurations.
pub fn agreement(view: &View<'_>, courses: &[Course], cut: usize, style: Style) -> Option<Figure> {
    let ranks = ranks(courses, cut);
    (ranks.len() >= 3).then_some(())?;
    let number = ranks.len() as f64;
    let font = style.font;
    // The best at the right and at the top.
    let axis = |label: &str| {
        let mut axis = Ticks::counting(label, number);
        axis.range = 0.5..number + 0.5;
        axis.ticks.retain(|(value, _)| *value >= 1.0);
        axis
    };
    let at = 100.0 * view.cuts[cut].at;
    let (level, upright) = (axis(&format!("rank after {at:.0} % of the iterations")), axis("rank at the end"));
    let (size, left) = ((style.width, 260.0), Frame::left_of(&upright, font));
    let frame = Frame { left, top: font, right: style.width - 1.5 * font, bottom: size.1 - 3.6 * font };
    let name = format!("rungs-cut-{}", cut + 1);
    let description = format!("ranks of {} configurations at the cut and at their end", ranks.len());
    let mut figure = Figure::new(&name, &format!("Cut {}", cut + 1), description, size);
    frame.upright(&mut figure, &upright, font);
    frame.level(&mut figure, &level, font);
    figure.line((frame.left, frame.bottom), (frame.right, frame.top), Ink::Grid, 1.0);
    for (before, after) in &ranks {
        let ink = if *after == 1.0 { Ink::Category(1) } else { Ink::Category(0) };
        let tip = format!("rank {before:.0} at the cut, {after:.0} at the end");
        figure.dot((frame.x(&level, *before), frame.y(&upright, *after)), 3.0, ink, tip);
    }
    Some(figure)
}
