//! Evaluating, rendering and exporting radiance fields.

use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use crate::checkpoint::Checkpoint;
use crate::cli::counter::Counter;
use crate::cli::eval::{EvalArgs, SolidBackground};
use crate::cli::export::{self, ExportArgs};
use crate::cli::outcome::Outcome;
use crate::cli::print;
use crate::cli::render::RenderArgs;
use crate::cli::trained::Trained;
use crate::geometry::Upright;
use crate::mesh::{ColoredMesh, Mesh, MeshFormat};
use crate::metrics::Lpips;
use crate::radiance::evaluate::{SavedImages, ViewScore, compare};
use crate::radiance::{
    Protocol, Renderer, Report, SURFACE_DENSITY, Terms, Volume, plain_background, reopen_scene, scene_without_views,
};
use crate::ranks::{Digest, Parts, Ranks, digest};
use crate::scene::path::PathChoice;
use crate::scene::{Scene, Split, View};
use crate::{Error, Result, atomic};

const POINTS: u32 = 1_000_000;

/// Compares a field with held-out images, which `ranks` share, writes the figures to `output`, and prints them.
pub fn eval(trained: &Trained, args: &EvalArgs, output: &Path, ranks: &Ranks) -> anyhow::Result<Outcome> {
    let scene = reopen_scene(&trained.checkpoint, args.scene.as_deref())?;
    let terms = terms(args, &trained.checkpoint, &scene)?;
    let lpips = args.lpips.as_deref().map(|path| read_lpips(path, terms.protocol)).transpose()?;
    let views = views(args, &scene, terms.split)?;
    if !ranks.is_alone() {
        ranks.agree("evaluation", &evaluation(args, views, terms)?)?;
    }
    if ranks.leads() {
        atomic::make_folder_of(output)?;
    }
    let scores = measure(trained, args, views, terms, lpips.as_ref(), ranks)?;
    if !ranks.leads() {
        return Ok(Outcome::Done);
    }
    let Trained { device, resolved, checkpoint } = trained;
    let mut report = Report::new(&checkpoint.header, &resolved.checkpoint, device, terms, lpips.as_ref(), scores);
    report.origin.device = ranks.describe(device);
    atomic::write_json(output, &report)?;
    print::to_stdout(&table(&report))?;
    if lpips.is_none() {
        print::to_stdout("LPIPS was not measured: it needs weights, --lpips FILE.safetensors (docs/formats.md)")?;
    }
    print::to_stdout(&format!("figures of each image are in {}", output.display()))?;
    Ok(Outcome::Done)
}

/// Returns the terms on which views are compared.
///
/// # Errors
/// Returns an error if the requested background differs from the one that the protocol prescribes.
fn terms(args: &EvalArgs, checkpoint: &Checkpoint, scene: &Scene) -> Result<Terms> {
    let protocol = args.protocol.unwrap_or_default();
    let asked = args.background.map(SolidBackground::color);
    if let (Some(asked), Some(set)) = (asked, protocol.background())
        && asked != set
    {
        let what = format!("--protocol {} is over white, leave --background away", protocol.as_str());
        return Err(Error::config(what));
    }
    let background = asked.or(protocol.background());
    let trained = || plain_background(&checkpoint.header.config.train, scene);
    Ok(Terms { protocol, split: args.split.unwrap_or(Split::Test), background: background.unwrap_or_else(trained) })
}

/// Reads the LPIPS weights at `path`, which must be those of the protocol's network.
fn read_lpips(path: &Path, protocol: Protocol) -> Result<Lpips> {
    let lpips = Lpips::read(path)?;
    protocol.check_lpips(&lpips, path)?;
    Ok(lpips)
}

/// Returns a text that differs where ranks would measure something else: other views, or by other means.
fn evaluation(args: &EvalArgs, views: &[View], terms: Terms) -> Result<String> {
    let mut all = Digest::new();
    for view in views {
        let seen = format!("{} {:?} {:?} {:?}", view.name, view.camera, view.transparent, view.crop_radius);
        all.add(seen.as_bytes());
    }
    all.add(&terms.background);
    let weights = match &args.lpips {
        Some(path) => {
            format!(", LPIPS {:016x}", digest(&fs::read(path).map_err(|e| Error::file(path, e.to_string()))?))
        }
        None => String::new(),
    };
    let (n, protocol, pictures) = (views.len(), terms.protocol.as_str(), [args.save_images, args.save_error_maps]);
    Ok(format!("{n} views, {:016x}, {protocol}, pictures {pictures:?}{weights}", all.value()))
}

/// Returns the scores of the views, which ranks share, in their order: on rank 0, which writes the pictures of all.
fn measure(
    trained: &Trained,
    args: &EvalArgs,
    views: &[View],
    terms: Terms,
    lpips: Option<&Lpips>,
    ranks: &Ranks,
) -> Result<Vec<ViewScore>> {
    let Trained { device, resolved, checkpoint } = trained;
    let Terms { protocol, split, background } = terms;
    let downscale = checkpoint.header.config.scene.downscale;
    let saved = SavedImages {
        folder: resolved.renders_folder().join(format!("eval-{}", split.as_str())),
        images: args.save_images,
        error_maps: args.save_error_maps,
    };
    let renderer = Renderer::from_checkpoint(device, checkpoint)?;
    let counter = Counter::new("images", views.len(), !ranks.leads());
    let mut scores = Vec::new();
    let make = |view: &View| {
        let mut compared = compare(&renderer, view, downscale, background, protocol)?;
        if let Some(lpips) = lpips {
            compared.measure_lpips(lpips);
        }
        let mut parts = saved.encode(&compared)?;
        parts.push(compared.score.figures());
        Ok(parts)
    };
    let take = |view: &View, mut parts: Parts| {
        let figures = parts.pop().expect("figures behind the pictures");
        scores.push(ViewScore::from_figures(&view.name, &figures));
        saved.write(&view.name, &parts)?;
        counter.add_one();
        Ok(())
    };
    ranks.share(views, &AtomicBool::new(false), make, take)?;
    Ok(scores)
}

fn views<'s>(args: &EvalArgs, scene: &'s Scene, split: Split) -> Result<&'s [View]> {
    let views = scene.splits.views(split);
    if views.is_empty() {
        let split = split.as_str();
        return Err(Error::file(&scene.path, format!("the scene has no {split} images; choose another --split")));
    }
    Ok(&views[..args.max_images.map_or(views.len(), |n| views.len().min(n as usize))])
}

/// Returns the mean figures as one line below its column headings.
fn table(report: &Report) -> String {
    let results = &report.results;
    let spread = if results.psnr.is_finite() { format!(" ± {:.2}", results.psnr_std) } else { String::new() };
    let psnr = print::decibels(results.psnr) + &spread;
    let columns = [
        ("scene", report.experiment.experiment_name.clone()),
        ("step", print::grouped(report.origin.step)),
        ("images", format!("{} {}", report.n_images, report.split)),
        ("protocol", report.protocol.to_owned()),
        ("background", report.background.clone()),
        ("PSNR", psnr),
        ("SSIM", results.ssim.map_or_else(|| "–".to_owned(), |ssim| format!("{ssim:.4}"))),
        ("LPIPS", results.lpips.map_or_else(|| "–".to_owned(), |lpips| format!("{lpips:.4}"))),
        ("rays/s", print::metric(results.num_rays_per_sec)),
        ("fps", format!("{:.1}", results.fps)),
    ];
    print::table_line(&columns)
}

/// Renders a field along the requested camera path, whose frames `ranks` share.
pub fn render(trained: &Trained, args: &RenderArgs, ranks: &Ranks) -> anyhow::Result<Outcome> {
    let checkpoint = &trained.checkpoint;
    let config = &checkpoint.header.config;
    let scene = open_scene(args, checkpoint)?;
    let background = plain_background(&config.train, &scene);
    let open = || Renderer::from_checkpoint(&trained.device, checkpoint);
    args.render_video(&trained.resolved, &scene, config.scene.downscale, background, ranks, open)
}

/// Opens the scene. A camera-path file has cameras of its own, so a scene that is missing or has changed is no obstacle
/// then.
fn open_scene(args: &RenderArgs, checkpoint: &Checkpoint) -> Result<Scene> {
    let has_cameras = args.path.as_ref().is_some_and(PathChoice::is_file);
    match reopen_scene(checkpoint, args.scene.as_deref()) {
        Err(_) if has_cameras && args.scene.is_none() => Ok(scene_without_views(checkpoint)),
        opened => opened,
    }
}

/// Opens a field for the viewer. Without the scene there are no cameras to show, but there is a field.
#[cfg(feature = "viewer")]
pub fn viewable(trained: &Trained, moved_to: Option<&Path>) -> Result<crate::cli::viewer::Viewable> {
    let checkpoint = &trained.checkpoint;
    let scene = match reopen_scene(checkpoint, moved_to) {
        Err(why) if moved_to.is_none() => {
            print::to_stderr(&format!("gridfield: note: the scene's cameras are not shown: {why}"));
            scene_without_views(checkpoint)
        }
        opened => opened?,
    };
    let background = plain_background(&checkpoint.header.config.train, &scene);
    let renderer = Box::new(Renderer::from_checkpoint(&trained.device, checkpoint)?);
    Ok(crate::cli::viewer::Viewable { renderer, scene, background, image: None })
}

/// Writes the field's surface as a mesh and as a point cloud, and the field as a volume, whichever are requested.
pub fn export(trained: &Trained, args: &ExportArgs, mesh_file: Option<(&Path, MeshFormat)>) -> anyhow::Result<()> {
    let renderer = Renderer::from_checkpoint(&trained.device, &trained.checkpoint)?;
    if mesh_file.is_some() || args.point_cloud.is_some() {
        export_surface(trained, &renderer, args, mesh_file)?;
    }
    match &args.volume {
        Some(path) => export_volume(&renderer, args, path),
        None => Ok(()),
    }
}

/// Writes density and colours of the field.
fn export_volume(renderer: &Renderer, args: &ExportArgs, path: &Path) -> anyhow::Result<()> {
    let counter = Counter::new("percent of the volume", 100, false);
    let progress = &mut |percent| counter.set(percent);
    let volume = Volume::of(renderer, args.within.as_ref(), args.resolution as usize, progress)?;
    drop(counter);
    volume.write(path)?;
    let [x, y, z] = volume.size;
    Ok(print::to_stdout(&format!("{}: {x} × {y} × {z} cells", path.display()))?)
}

fn export_surface(
    trained: &Trained,
    renderer: &Renderer,
    args: &ExportArgs,
    mesh_file: Option<(&Path, MeshFormat)>,
) -> anyhow::Result<()> {
    let point_file = args.point_cloud.as_deref().map(|path| (path, MeshFormat::Ply));
    let turns = |file: &(&Path, MeshFormat)| args.turns(file.1);
    let is_turned = mesh_file.iter().chain(&point_file).any(turns);
    let upright = if is_turned { Some(upright(&trained.checkpoint, args.scene.as_deref())?) } else { None };
    let write = |exported: ColoredMesh, path, format| {
        export::write(exported, path, format, upright.filter(|_| args.turns(format)))
    };
    let threshold = args.density_threshold.map_or(SURFACE_DENSITY, |density| density as f32);
    let mut mesh =
        args.extract(renderer.place(), |lattice, progress| renderer.surface(lattice, threshold, progress))?;
    // Drawn before the mesh is simplified, and written after it, so that a texture too small leaves no file behind.
    let n_points = args.points.unwrap_or(POINTS) as usize;
    let points = point_file.map(|_| renderer.point_cloud(&mesh, n_points)).transpose()?;
    if let Some((path, format)) = mesh_file {
        args.simplify(&mut mesh)?;
        write(colored(renderer, mesh, args.texture)?, path, format)?;
    }
    match points.zip(point_file) {
        Some((points, (path, format))) => write(points, path, format),
        None => Ok(()),
    }
}

/// Adds the field's colours to a mesh: in a texture of the given side, or else at its vertices.
fn colored(renderer: &Renderer, mesh: Mesh, texture: Option<u32>) -> Result<ColoredMesh> {
    let Some(side) = texture else { return renderer.colored(mesh) };
    let counter = Counter::new("rows of the texture", side as usize, false);
    renderer.textured(mesh, side, &mut |rows| counter.set(rows))
}

/// Returns the rotation that turns the scene's up to y. The cameras tell what is up; without them it is z, as in most
/// scenes.
fn upright(checkpoint: &Checkpoint, moved_to: Option<&Path>) -> Result<Upright> {
    match reopen_scene(checkpoint, moved_to) {
        Ok(scene) => Ok(Upright::from_up(scene.up())),
        Err(error) if moved_to.is_none() => {
            print::to_stderr(&format!(
                "gridfield: note: z is taken as up, since the scene's cameras cannot be read: {error}; --axes scene leaves the \
                 axes as they are"
            ));
            Ok(Upright::from_up([0.0, 0.0, 1.0]))
        }
        Err(error) => Err(error),
    }
}
