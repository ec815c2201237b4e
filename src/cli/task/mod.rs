//! The commands that work on a trained field, each for the task of that field: they open it, refuse the flags of other
//! tasks, and do what their task needs. There is one file per task; the files of the commands hold their flags and what
//! the tasks share.

pub mod image;
pub mod radiance;
pub mod sdf;

use super::eval::EvalArgs;
use super::export::ExportArgs;
use super::flags::refuse;
use super::job::refuse_ranks;
use super::outcome::Outcome;
use super::render::RenderArgs;
use super::trained::Trained;
use crate::config::TaskName;
use crate::ranks::Ranks;

/// `gridfield eval`: evaluate a trained field. Ranks share the images of a radiance field.
pub fn eval(args: &EvalArgs, ranks: &Ranks) -> anyhow::Result<Outcome> {
    let trained = Trained::open_among(ranks, &args.run, &args.machine)?;
    let output = args.output.clone().unwrap_or_else(|| trained.resolved.eval_path());
    args.refuse_flags_of_other_tasks(trained.task())?;
    match trained.task() {
        TaskName::Radiance => radiance::eval(&trained, args, &output, ranks),
        TaskName::Image => {
            refuse_ranks("`gridfield eval` of a fitted image")?;
            let kept = image::Kept { images: args.save_images, error_maps: args.save_error_maps };
            image::eval(&trained, kept, &output)
        }
        TaskName::Sdf => {
            refuse_ranks("`gridfield eval` of a distance field")?;
            sdf::eval(&trained, args.resolution, &output)
        }
    }
}

/// `gridfield render`: render a video, frames or an image from a trained field. Ranks share the frames along a path.
pub fn render(args: &RenderArgs, ranks: &Ranks) -> anyhow::Result<Outcome> {
    let trained = Trained::open_among(ranks, &args.run, &args.machine)?;
    match trained.task() {
        TaskName::Radiance => radiance::render(&trained, args, ranks),
        TaskName::Sdf => {
            refuse(&[("--scene", args.scene.is_some())], "is for radiance fields, and this run is of a mesh")?;
            sdf::render(&trained, args, ranks)
        }
        TaskName::Image => {
            refuse_ranks("`gridfield render` of a fitted image")?;
            args.refuse_flags_of_paths()?;
            image::render(&trained, args.crop, (args.width, args.height), args.output.clone())
        }
    }
}

/// `gridfield export`: write a trained field as a mesh, a point cloud or a volume.
pub fn export(mut args: ExportArgs) -> anyhow::Result<Outcome> {
    args.check_destinations()?;
    args.refuse_flags_of_surfaces()?;
    let trained = Trained::open(&args.run, &args.machine)?;
    args.within = args.chosen_box(&trained)?;
    let mesh_file = args.mesh_file()?;
    match trained.task() {
        TaskName::Radiance => radiance::export(&trained, &args, mesh_file)?,
        TaskName::Sdf => {
            args.refuse_flags_of_radiance()?;
            if let Some((path, format)) = mesh_file {
                sdf::export(&trained, &args, path, format)?;
            }
        }
        TaskName::Image => {
            return Err(trained.checkpoint.refuse("is of a fitted image, which has no surface; use render").into());
        }
    }
    Ok(Outcome::Done)
}

/// Opens a trained field for `gridfield view`, with its scene's current folder, if that has moved.
#[cfg(feature = "viewer")]
pub fn viewable(trained: &Trained, scene: Option<&std::path::Path>) -> crate::Result<super::viewer::Viewable> {
    match trained.task() {
        TaskName::Radiance => radiance::viewable(trained, scene),
        TaskName::Sdf => {
            refuse(&[("--scene", scene.is_some())], "is for radiance fields, and this run is of a mesh")?;
            sdf::viewable(trained)
        }
        TaskName::Image => {
            refuse(&[("--scene", scene.is_some())], "is for radiance fields, and this run is of an image")?;
            image::viewable(trained)
        }
    }
}
