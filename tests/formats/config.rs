//! The configuration: its layers, its error messages, and its documentation.

use std::path::PathBuf;

use gridfield::config::{Background, Config, GridIndex, GridKernel, ModelName, ScheduleKind, TaskName};
use serde_json::Value;

fn written(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.json");
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

fn load_error(text: &str) -> String {
    let (_folder, path) = written(text);
    let error = Config::load(&path).unwrap_err().to_string();
    let (file, what) = error.split_once(": ").unwrap();
    assert_eq!(file, path.to_str().unwrap(), "the sentence names the file");
    what.to_owned()
}

fn set_error(assignment: &str) -> String {
    let mut config = Config::default();
    let error = config.set(assignment).unwrap_err().to_string();
    assert_eq!(config, Config::default(), "a refused value changes nothing");
    error
}

fn validation_error(assignment: &str) -> String {
    let mut config = Config::default();
    config.set(assignment).unwrap();
    config.validate().unwrap_err().to_string()
}

#[test]
fn defaults_are_valid_and_survive_json() {
    let config = Config::default();
    config.validate().unwrap();
    let text = serde_json::to_string_pretty(&config).unwrap();
    let (_folder, path) = written(&text);
    assert_eq!(Config::load(path).unwrap(), config);
}

#[test]
fn a_file_needs_only_the_keys_that_differ() {
    let (_folder, path) = written(r#"{"model": {"grid": {"kernel": "smoothstep"}}, "train.max_steps": 7}"#);
    let mut expected = Config::default();
    expected.model.grid.kernel = GridKernel::Smoothstep;
    expected.train.max_steps = 7;
    assert_eq!(Config::load(path).unwrap(), expected);
}

#[test]
fn later_layers_win_key_by_key() {
    let (_folder, path) = written(r#"{"train": {"max_steps": 7, "seed": 3}}"#);
    let mut config = Config::load(path).unwrap();
    config.set_value("train.seed", 4).unwrap();
    config.set("train.seed=5").unwrap();
    assert_eq!((config.train.max_steps, config.train.seed), (7, 5));
}

#[test]
fn set_reads_json_and_plain_text() {
    let mut config = Config::default();
    for assignment in [
        "train.max_seconds=2.5",
        "train.background=white",
        "optimizer.schedule.kind = \"cosine\"",
        "optimizer.schedule.milestones=[0.25, 0.5]",
        "scene.offset=[0.5,0.5,0.5]",
        "scene.path=2024",
        r#"model.density_network={"n_neurons": 16}"#,
    ] {
        config.set(assignment).unwrap();
    }
    assert_eq!(config.train.max_seconds, Some(2.5));
    assert_eq!(config.train.background, Background::White);
    assert_eq!(config.optimizer.schedule.kind, ScheduleKind::Cosine);
    assert_eq!(config.optimizer.schedule.milestones, [0.25, 0.5]);
    assert_eq!(config.scene.offset, Some([0.5; 3]));
    assert_eq!(config.scene.path, PathBuf::from("2024"), "a folder may be called by a number");
    assert_eq!((config.model.density_network.n_neurons, config.model.density_network.n_hidden_layers), (16, 1));
    config.set("train.max_seconds=null").unwrap();
    assert_eq!(config.train.max_seconds, None);
}

#[test]
fn unknown_keys_name_the_nearest() {
    for (key, nearest) in [
        ("train.max_stepz", "train.max_steps"),
        ("max_steps", "train.max_steps"),
        ("trian.seed", "train.seed"),
        ("train.n_levels", "model.grid.n_levels"),
        ("model.grid.hashmap_size", "model.grid.log2_hashmap_size"),
        ("optimizer.learn_rate", "optimizer.learning_rate"),
        ("train.max_steps.more", "train.max_steps"),
    ] {
        let expected = format!("`{key}` is not a configuration key; the nearest one is `{nearest}`");
        assert_eq!(set_error(&format!("{key}=1")), expected);
    }
    for (key, section) in [("trian", "train"), ("model.gird", "model.grid"), ("schedule", "optimizer.schedule")] {
        let error = set_error(&format!("{key}=1"));
        let expected = format!("`{key}` is not a configuration key; the nearest one is section `{section}`");
        assert_eq!(error, expected);
    }
    let in_file = load_error(r#"{"optimizer": {"schedule": {"gama": 0.5}}}"#);
    assert!(
        in_file.contains("`optimizer.schedule.gama`") && in_file.contains("`optimizer.schedule.gamma`"),
        "{in_file}"
    );
    for empty in ["=5", "train.=5", "."] {
        let mut config = Config::default();
        assert!(config.set(empty).is_err(), "{empty}");
    }
    load_error(r#"{"": 5}"#);
}

#[test]
fn wrong_types_name_key_value_and_expectation() {
    let names: Vec<String> = ModelName::ALL.iter().map(|name| format!("`{}`", name.as_str())).collect();
    for (assignment, sentence) in [
        ("train.max_steps=many", "train.max_steps is \"many\", but must be a whole number, 0 or more"),
        ("train.max_steps=1.5", "train.max_steps is 1.5, but must be a whole number, 0 or more"),
        ("train.max_steps=-1", "train.max_steps is -1, but must be a whole number, 0 or more"),
        ("train.max_steps=null", "train.max_steps is null, but must be a whole number, 0 or more"),
        ("model.sh_degree=-1", "model.sh_degree is -1, but must be a whole number from 0 to 4294967295"),
        ("train.huber_delta=true", "train.huber_delta is true, but must be a number"),
        ("train.huber_delta=1e999", "train.huber_delta is \"1e999\", but must be a number"),
        ("train.precision=fp8", "train.precision is \"fp8\", but must be one of `fp32`, `bf16`, `auto`"),
        ("train.background=blue", "train.background is \"blue\", but must be one of `white`, `black`, `random`"),
        ("model.name=tree", &format!("model.name is \"tree\", but must be one of {}", names.join(", "))),
        ("optimizer.schedule.milestones=0.5", "optimizer.schedule.milestones is 0.5, but must be a list of numbers"),
        (
            "optimizer.schedule.milestones=[0.5,\"end\"]",
            "optimizer.schedule.milestones is [0.5,\"end\"], but must be a list of numbers",
        ),
        ("scene.offset=[1,2]", "scene.offset is [1,2], but must be a list of 3 numbers"),
        ("scene.offset=1", "scene.offset is 1, but must be a list of 3 numbers"),
        ("scene.offset=[1,2,\"x\"]", "scene.offset is [1,2,\"x\"], but must be a list of numbers"),
        ("train=5", "`train` is a section and cannot be 5; set one of its keys, such as `train.max_steps`"),
        ("train.max_steps", "`train.max_steps` sets nothing; write key=value, as in train.max_steps=500"),
    ] {
        assert_eq!(set_error(assignment), sentence);
    }
}

#[test]
fn bad_files_are_refused_in_a_sentence() {
    assert!(load_error(r#"{"train": {"max_steps": "#).starts_with("not valid JSON (EOF"));
    assert!(load_error("").starts_with("not valid JSON"));
    assert!(load_error("[1]").contains("one JSON object"));
    assert!(load_error(r#"{"train": 3}"#).contains("`train` is a section"));
    let missing = Config::load("nowhere/config.json").unwrap_err().to_string();
    assert!(missing.starts_with("nowhere/config.json: the config file cannot be read"), "{missing}");
}

#[test]
fn every_range_is_guarded() {
    for (assignment, says) in [
        ("model.grid.n_levels=0", "model.grid.n_levels is 0, but must be from 1 to 32"),
        ("model.grid.n_features_per_level=3", "model.grid.n_features_per_level is 3, but must be one of 1, 2, 4, 8"),
        ("model.grid.log2_hashmap_size=31", "model.grid.log2_hashmap_size"),
        ("model.grid.base_resolution=1", "model.grid.base_resolution"),
        ("model.grid.per_level_scale=0.5", "model.grid.per_level_scale"),
        ("model.grid.n_levels=32", "nodes per axis on its finest level"),
        ("model.grid.log2_hashmap_size=30", "34359738368 features"),
        ("model.density_network.n_neurons=48", "model.density_network.n_neurons is 48"),
        ("model.color_network.n_hidden_layers=9", "model.color_network.n_hidden_layers is 9"),
        ("model.sh_degree=7", "model.sh_degree is 7, but must be from 1 to 6"),
        ("model.grid.mulfa.depth=0", "model.grid.mulfa.depth is 0, but must be from 1 to 3"),
        ("model.grid.mulfa.depth=4", "model.grid.mulfa.depth is 4, but must be from 1 to 3"),
        ("model.grid.local.n_frequencies=3", "model.grid.local.n_frequencies is 3, but must be from 0 to 2"),
        ("march.near=-1", "march.near is -1, but must be from 0 to 1000"),
        ("train.distortion_loss=-1", "train.distortion_loss is -1"),
        ("train.depth_loss=1e9", "train.depth_loss is 1000000000"),
        ("train.scale_gradients_within=-1", "train.scale_gradients_within is -1"),
        ("optimizer.exposure_learning_rate=0", "optimizer.exposure_learning_rate is 0, but must be above 0"),
        ("optimizer.camera_learning_rate=0", "optimizer.camera_learning_rate is 0, but must be above 0"),
        ("scene.nearest=0", "scene.nearest is 0, but must be above 0"),
        ("march.occupancy_resolution=100", "march.occupancy_resolution is 100"),
        ("march.cascades=0", "march.cascades"),
        ("march.max_samples_per_ray=0", "march.max_samples_per_ray"),
        ("march.occupancy_decay=1.1", "march.occupancy_decay"),
        ("march.occupancy_threshold=-1", "march.occupancy_threshold"),
        ("march.stop_transmittance=1", "march.stop_transmittance is 1, but must be at least 0 and below 1"),
        ("march.step_scale=0", "march.step_scale"),
        ("train.max_steps=0", "train.max_steps"),
        ("train.max_seconds=0", "train.max_seconds is 0, but must be above 0"),
        ("train.batch_samples=1", "train.batch_samples"),
        ("train.huber_delta=-0.1", "train.huber_delta"),
        ("train.ema_decay=1", "train.ema_decay"),
        ("optimizer.learning_rate=0", "optimizer.learning_rate"),
        ("optimizer.beta1=1", "optimizer.beta1"),
        ("optimizer.beta2=-0.1", "optimizer.beta2"),
        ("optimizer.epsilon=0", "optimizer.epsilon"),
        ("optimizer.l2_reg=-1", "optimizer.l2_reg"),
        ("optimizer.total_variation=-1", "optimizer.total_variation is -1"),
        ("optimizer.total_variation=1e-5", "which model.grid.index dense and fourier have alone"),
        ("model.grid.points.k=9", "model.grid.points.k is 9, but must be from 1 to 8"),
        ("model.grid.points.resolution=1", "model.grid.points.resolution is 1"),
        ("model.grid.points.bandwidth=0", "model.grid.points.bandwidth is 0"),
        ("model.grid.upscale_at=[0.5]", "only the index dense"),
        ("optimizer.schedule.milestones=[0.5, 0.4]", "optimizer.schedule.milestones is [0.5, 0.4]"),
        ("optimizer.schedule.milestones=[1.0]", "optimizer.schedule.milestones"),
        ("optimizer.schedule.gamma=0", "optimizer.schedule.gamma"),
        ("optimizer.schedule.final_fraction=2", "optimizer.schedule.final_fraction"),
        ("scene.downscale=0", "scene.downscale"),
        ("scene.scale=-1", "scene.scale"),
        ("scene.scale=1e300", "scene.scale is 1e300, but must be from 1e-6 to 1e6"),
        ("scene.offset=[0, 1e39, 0]", "scene.offset is [0.0, 1e39, 0.0], but must be three numbers from -1e9 to"),
        ("train.seed=4294967296", "train.seed is 4294967296, but must be from 0 to 4294967295"),
    ] {
        let error = validation_error(assignment);
        assert!(error.contains(says), "{assignment}: {error}");
    }
    let mut config = Config::default();
    config.march.step_scale = f64::NAN;
    assert!(config.validate().is_err(), "NaN fails every check");
}

/// Returns why an encoding's defaults are refused after `settings` have changed them.
fn refusal(settings: &[&str]) -> String {
    let mut config = Config::default();
    settings.iter().for_each(|assignment| config.set(assignment).unwrap());
    config.validate().unwrap_err().to_string()
}

#[test]
fn every_encoding_is_valid_as_it_is_by_default() {
    for name in ModelName::ALL {
        let mut config = Config::default();
        config.set_value("model.name", name.as_str()).unwrap();
        assert_eq!(config.model.grid, name.grid());
        if name.grid().index == GridIndex::None {
            assert!(config.validate().unwrap_err().to_string().contains("references for images"));
            config.task = TaskName::Image;
        }
        config.validate().unwrap();
    }
}

#[test]
fn networks_without_a_grid_have_ranges_of_their_own() {
    for (setting, says) in [
        ("model.grid.waves.width=15", "model.grid.waves.width is 15, but must be from 16 to 1024"),
        ("model.grid.waves.width=1025", "model.grid.waves.width is 1025"),
        ("model.grid.waves.depth=1", "model.grid.waves.depth is 1, but must be from 2 to 8"),
        ("model.grid.waves.sigma=0", "model.grid.waves.sigma is 0, but must be above 0"),
        ("model.grid.waves.sigma=-1", "model.grid.waves.sigma is -1, but must be above 0"),
        ("model.grid.waves.input_scale=0", "model.grid.waves.input_scale is 0"),
        (
            "model.grid.waves.weight_scale=1e9",
            "model.grid.waves.weight_scale is 1000000000, but must be above 0 and at most",
        ),
        ("model.grid.waves.alpha=0", "model.grid.waves.alpha is 0"),
        ("model.grid.n_levels=3", "the index none has no levels: set it to 0"),
        ("model.grid.n_features_per_level=0", "model.grid.n_features_per_level is 0"),
        ("model.grid.kernel=mulfa", "without nodes there is nothing to weigh"),
        ("model.grid.kernel=gaussian", "without nodes there is nothing to weigh"),
        ("model.grid.upscale_at=[0.5]", "only the index dense"),
        ("optimizer.total_variation=1e-5", "set it to 0"),
        ("optimizer.waves_learning_rate=0", "optimizer.waves_learning_rate is 0"),
    ] {
        let mut config = Config::of_image(true);
        config.set("model.name=gabor_net").unwrap();
        config.validate().unwrap();
        config.set(setting).unwrap();
        let error = config.validate().unwrap_err().to_string();
        assert!(error.contains(says), "{setting}: {error}");
    }
}

#[test]
fn index_and_kernel_functions_that_do_not_fit_are_refused_with_the_reason() {
    for (settings, says) in [
        (
            &["model.grid.kernel=gaussian"][..],
            "gaussian weighs points by their distance; set model.grid.index to points",
        ),
        (&["model.name=points", "model.grid.kernel=linear"], "points have no cells to interpolate in"),
        (&["model.name=points", "model.grid.kernel=mulfa"], "points have no cells to interpolate in"),
        (&["model.name=fourier", "model.grid.kernel=mulfa"], "mulfa compares x with its nodes in one space"),
        (&["model.name=points", "model.grid.n_levels=2"], "the index points has no levels"),
        (&["model.name=fourier", "model.grid.n_levels=4"], "pairs of sine and cosine: an odd number up to 21"),
        (&["model.name=fourier", "model.grid.upscale_at=[0.5]"], "only the index dense"),
        (&["model.name=dense", "model.grid.kernel=mulfa"], "only the index dense with the kernel linear or smoothstep"),
        (&["model.name=dense", "model.grid.upscale_at=[0.5, 0.4]"], "fractions of the run, rising"),
        (&["model.name=dense", "model.grid.base_resolution=8"], "begins below 4 nodes per axis"),
        (&["model.name=dense", "model.grid.base_resolution=700"], "model.grid may hold 2744000000 features"),
        (&["model.name=points", "optimizer.total_variation=1e-5"], "set it to 0"),
        (&["model.name=fourier", "model.grid.kernel=local"], "the bands of fourier are averaged"),
        (&["model.name=points", "model.grid.kernel=local"], "points have no cells to interpolate in"),
        (&["model.name=dense", "model.grid.kernel=local"], "only the index dense with the kernel linear or smoothstep"),
        (
            &["model.name=points", "model.grid.points.file=a.ply", "model.grid.points.from_run=latest"],
            "model.grid.points.file and model.grid.points.from_run are both given",
        ),
    ] {
        let error = refusal(settings);
        assert!(error.contains(says), "{settings:?}: {error}");
    }
}

#[test]
fn a_cascade_without_levels_to_cascade_is_refused_with_the_reason() {
    for (settings, says) in [
        (
            &["model.name=points", "model.grid.cascade=true"][..],
            "model.grid.cascade is set, but only the indices hash and dense have levels",
        ),
        (
            &["model.name=fourier", "model.grid.cascade=true"],
            "the bands of the index fourier are averaged, not stacked",
        ),
        (&["model.name=mulfagrid", "model.grid.cascade=true"], "the kernel mulfa is not combined with it"),
        (&["model.name=cascade", "model.grid.kernel=mulfa"], "the kernel mulfa is not combined with it"),
        (&["model.name=cascade", "model.grid.n_levels=1"], "a single level has no coarser one to depend on"),
        (&["model.name=dense", "model.grid.cascade=true"], "a single level has no coarser one to depend on"),
        (
            &["model.name=dense", "model.grid.cascade=true", "model.grid.n_levels=2"],
            "model.grid.upscale_at is set, but only the index dense with the kernel linear or smoothstep, without a \
             cascade,",
        ),
    ] {
        let error = refusal(settings);
        assert!(error.contains(says), "{settings:?}: {error}");
    }
    let mut config = Config::of_image(true);
    config.set("model.name=gabor_net").unwrap();
    config.set("model.grid.cascade=true").unwrap();
    let error = config.validate().unwrap_err().to_string();
    assert!(error.contains("only the indices hash and dense have levels"), "{error}");
}

/// A configuration of version 0.2.0, which has neither `cascade` nor `local`.
#[test]
fn a_config_without_the_keys_of_learned_levels_still_loads() {
    let mut tree = Config::default().to_value();
    let grid = tree.pointer_mut("/model/grid").unwrap().as_object_mut().unwrap();
    assert!(grid.remove("cascade").is_some() && grid.remove("local").is_some());
    let (_folder, path) = written(&tree.to_string());
    assert_eq!(Config::load(path).unwrap(), Config::default());
}

#[test]
fn other_kernels_go_with_the_index_functions_that_have_cells() {
    for settings in [
        &["model.name=dense", "model.grid.upscale_at=[]", "model.grid.kernel=local"][..],
        &["model.name=cascade", "model.grid.kernel=smoothstep"],
        &["model.name=cascade_local", "model.grid.index=dense", "model.grid.n_levels=4"],
        &["model.name=hash", "model.grid.cascade=true", "model.grid.local.n_frequencies=2", "model.grid.kernel=local"],
        &["model.name=dense", "model.grid.kernel=smoothstep"],
        &["model.name=dense", "model.grid.upscale_at=[]", "model.grid.kernel=mulfa"],
        &[
            "model.name=dense",
            "model.grid.n_levels=3",
            "model.grid.base_resolution=32",
            "optimizer.total_variation=1e-5",
        ],
        &["model.name=fourier", "model.grid.kernel=smoothstep", "optimizer.total_variation=1e-5"],
        &["model.name=mulfagrid", "model.grid.index=dense", "model.grid.n_levels=4"],
    ] {
        let mut config = Config::default();
        settings.iter().for_each(|assignment| config.set(assignment).unwrap());
        config.validate().unwrap();
    }
}

#[test]
fn the_published_encodings_are_valid() {
    let mut config = Config::default();
    for (levels, features, scale) in [(16, 2, 1.38191), (8, 4, 2.0), (16, 2, 2.0)] {
        config.model.grid.n_levels = levels;
        config.model.grid.n_features_per_level = features;
        config.model.grid.per_level_scale = scale;
        config.validate().unwrap();
    }
}

#[test]
fn dense_nodes_are_counted_in_the_dimensions_of_the_task() {
    let mut config = Config::of_image(true);
    config.set_value("model.name", "dense").unwrap();
    config.model.grid.base_resolution = 4096;
    config.validate().unwrap();
    let error = refusal(&["model.name=dense", "model.grid.base_resolution=4096"]);
    assert!(error.contains("may hold 549755813888 features") && error.contains("lower one of n_levels"), "{error}");
}

/// The tables of `docs/formats.md` have one row `| `key` | default | … |` for every key, in order.
#[test]
fn the_documentation_lists_every_key_with_its_default() {
    let text = include_str!("../../docs/formats.md");
    let rows = text.lines().filter_map(|line| {
        let mut cells = line.split('|').map(str::trim).skip(1);
        let key = cells.next()?.strip_prefix('`')?.strip_suffix('`')?;
        Config::keys().contains(&key.to_owned()).then(|| (key, cells.next().unwrap_or_default().trim_matches('`')))
    });
    let documented: Vec<(&str, Value)> =
        rows.map(|(key, default)| (key, serde_json::from_str(default).expect(key))).collect();
    let tree = Config::default().to_value();
    let keys = Config::keys();
    let default = |key: &str| tree.pointer(&format!("/{}", key.replace('.', "/"))).unwrap().clone();
    let expected: Vec<(&str, Value)> = keys.iter().map(|key| (key.as_str(), default(key))).collect();
    assert_eq!(documented, expected);
}

#[test]
fn the_documentation_names_every_model() {
    for (file, text) in [
        ("README.md", include_str!("../../README.md")),
        ("docs/models.md", include_str!("../../docs/models.md")),
        ("docs/formats.md", include_str!("../../docs/formats.md")),
    ] {
        for name in ModelName::ALL {
            let name = name.as_str();
            let is_named = [format!("`{name}`"), format!("**{name}"), format!("### {name}\n")];
            assert!(is_named.iter().any(|word| text.contains(word)), "{file} does not name {name}");
        }
    }
}

#[test]
fn maps_of_space_refuse_what_they_cannot_hold() {
    for space in ["ndc", "contraction"] {
        let error = refusal(&[&format!("march.space={space}"), "march.cascades=2"]);
        assert!(error.contains("hold all of space in one cascade; set it to 1"), "{error}");
        let error = refusal(&[&format!("march.space={space}"), "model.name=points", "model.grid.points.file=a.ply"]);
        assert!(error.contains("set march.space to identity"), "{error}");
    }
}

#[test]
fn cameras_are_refined_where_the_encoding_has_a_gradient_by_position() {
    let refused = |settings: &[&str]| {
        let mut config = Config::default();
        config.set("train.refine_cameras=true").unwrap();
        settings.iter().try_for_each(|setting| config.set(setting)).unwrap();
        config.validate().err().map(|error| error.to_string())
    };
    let with_a_gradient = ["hash", "dense", "fourier"];
    for index in with_a_gradient {
        for kernel in ["linear", "smoothstep"] {
            let settings = [&format!("model.name={index}"), &format!("model.grid.kernel={kernel}")];
            assert_eq!(refused(&settings.map(String::as_str)), None, "{index} {kernel}");
        }
    }
    let others = ModelName::ALL.iter().filter(|model| model.is_for(TaskName::Radiance)).map(|model| model.as_str());
    for model in others.filter(|model| !with_a_gradient.contains(model)) {
        let error = refused(&[&format!("model.name={model}")]).unwrap();
        assert!(
            error.starts_with("train.refine_cameras is set, but needs the gradient by a sample's place"),
            "{error}"
        );
        assert!(error.ends_with("set it to false"), "{error}");
    }
}

#[test]
fn presets_set_defaults_that_other_settings_go_before() {
    use gridfield::config::{Preset, SpaceMap};
    assert_eq!(Preset::Blender.over(Config::on_cpu(), None).march, Config::on_cpu().march);
    let of_model = |model: &str, preset: Preset| {
        let (mut before, mut after) = (Config::on_cpu(), preset.over(Config::on_cpu(), None));
        before.set_value("model.name", model).unwrap();
        after.set_value("model.name", model).unwrap();
        assert_eq!(preset.over(before, None).model, after.model, "{model}: in either order");
        after.model.grid.per_level_scale
    };
    let finest = 16.0 * of_model("hash", Preset::Blender).powi(7);
    assert_eq!(finest.round(), 512.0);
    assert_eq!(of_model("mulfagrid", Preset::Blender), of_model("hash", Preset::Blender));
    for preset in [Preset::Blender, Preset::Llff, Preset::Photos] {
        assert_eq!(of_model("fourier", preset), 1.0, "bands of a Fourier grid are no levels");
    }
    assert_ne!(of_model("hash", Preset::Photos), 2.0);
    for (reach, cascades, finest) in [(None, 3, 1024.0), (Some(1), 1, 512.0), (Some(2), 2, 512.0), (Some(9), 5, 2048.0)]
    {
        let config = Preset::Photos.over(Config::on_cpu(), reach);
        assert_eq!(config.march.cascades, cascades);
        assert_eq!((16.0 * config.model.grid.per_level_scale.powi(7)).round(), finest, "{cascades} boxes");
    }
    let spaces = [SpaceMap::Ndc, SpaceMap::Identity, SpaceMap::Contraction];
    for (preset, space) in [Preset::Llff, Preset::Photos, Preset::Unbounded].into_iter().zip(spaces) {
        for base in [Config::default(), Config::on_cpu()] {
            let config = preset.over(base, None);
            assert_eq!((config.scene.preset, config.march.space), (preset, space));
            assert!(!config.train.refine_cameras && !config.train.exposure);
            config.validate().unwrap();
        }
    }
}
