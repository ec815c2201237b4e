//! The checkpoint file: what is written reads back, and no damaged file is accepted.

use std::path::{Path, PathBuf};

use gridfield::checkpoint::{Checkpoint, Header, Tensor};
use gridfield::config::Config;
use gridfield::geometry::UnitCube;
use safetensors::SafeTensors;
use serde_json::{Value, json};

fn header() -> Header {
    let mut config = Config::default();
    config.set("train.seed=7").unwrap();
    config.set("scene.path=scenes/boat").unwrap();
    let unit_cube = UnitCube::new(0.33, [0.5, 0.25, 1.0 / 3.0]);
    let mut header = Header::new(config, "boat", unit_cube, 1234, 56.78);
    header.trainer.insert("rays_per_step".to_owned(), json!(4096));
    header
}

fn tensors() -> Vec<Tensor<'static>> {
    let features: Vec<f32> = (0..24).map(|i| (i as f32).sin() * 1e-3).collect();
    vec![
        Tensor::new("occupancy.bits", &[5], vec![0u8, 1, 128, 254, 255]),
        Tensor::new("grid.features", &[6, 4], features),
        Tensor::new("adam.steps", &[2, 1], vec![7u32, u32::MAX]),
        Tensor::new("empty", &[0, 4], Vec::<f32>::new()),
    ]
}

fn written(checkpoint: &Checkpoint<'_>) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("step-000001234.safetensors");
    checkpoint.write(&path).unwrap();
    (folder, path)
}

/// Returns the error that refuses `bytes`, without the file name at its beginning.
fn refusal(bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bad.safetensors");
    std::fs::write(&path, bytes).unwrap();
    refusal_of(&path)
}

fn refusal_of(path: &Path) -> String {
    let error = Checkpoint::read(path).unwrap_err().to_string();
    error.strip_prefix(&format!("{}: ", path.display())).expect("the sentence names the file").to_owned()
}

/// Returns the bytes of a checkpoint whose own header was changed by `edit`.
fn with_header(edit: impl FnOnce(&mut Value)) -> Vec<u8> {
    let (_folder, path) = written(&Checkpoint::new(header(), tensors()));
    let bytes = std::fs::read(path).unwrap();
    let (length, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
    let mut own: Value = serde_json::from_str(&metadata.metadata().as_ref().unwrap()["gridfield"]).unwrap();
    edit(&mut own);
    let mut file_header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    file_header["__metadata__"] = json!({ "gridfield": own.to_string() });
    let text = file_header.to_string();
    [&(text.len() as u64).to_le_bytes(), text.as_bytes(), &bytes[8 + length..]].concat()
}

#[test]
fn what_is_written_is_read() {
    let (_folder, path) = written(&Checkpoint::new(header(), tensors()));
    let mut read = Checkpoint::read(&path).unwrap();
    assert_eq!(read.header, header());
    assert_eq!(read.get::<u8>("occupancy.bits", &[5]).unwrap(), [0, 1, 128, 254, 255]);
    assert_eq!(read.take::<u32>("adam.steps", &[2, 1]).unwrap(), [7, u32::MAX]);
    let features = read.take::<f32>("grid.features", &[6, 4]).unwrap();
    let expected: Vec<u32> = (0..24).map(|i| ((i as f32).sin() * 1e-3).to_bits()).collect();
    assert_eq!(features.iter().map(|v| v.to_bits()).collect::<Vec<_>>(), expected, "bit for bit");
    assert!(read.take::<f32>("empty", &[0, 4]).unwrap().is_empty());
    assert_eq!(read.trainer_state::<u32>("rays_per_step").unwrap(), 4096);
}

#[test]
fn numbers_of_the_header_come_back_bit_for_bit() {
    // With numbers of 17 digits, a parser that rounds twice is wrong by one bit.
    for i in 1..200 {
        let x = (f64::from(i) * 0.7311).sin() / 3.7;
        let mut header = header();
        header.seconds = x.abs();
        header.unit_cube = UnitCube::new(x.abs() as f32, [x, x * 1e-9, x * 1e9].map(|v| v as f32));
        header.config.set_value("optimizer.learning_rate", x.abs()).unwrap();
        let (_folder, path) = written(&Checkpoint::new(header.clone(), vec![]));
        assert_eq!(Checkpoint::read(&path).unwrap().header, header);
    }
}

#[test]
fn borrowed_tensors_write_the_same_file() {
    let (_kept, owned) = written(&Checkpoint::new(header(), tensors()));
    let features: Vec<f32> = (0..24).map(|i| (i as f32).sin() * 1e-3).collect();
    let mut borrowing = tensors();
    borrowing[1] = Tensor::new("grid.features", &[6, 4], features.as_slice());
    let (_kept_too, borrowed) = written(&Checkpoint::new(header(), borrowing));
    assert_eq!(std::fs::read(owned).unwrap(), std::fs::read(borrowed).unwrap());
}

#[test]
fn other_programs_can_read_it() {
    let (_folder, path) = written(&Checkpoint::new(header(), tensors()));
    let bytes = std::fs::read(path).unwrap();
    let (length, _) = SafeTensors::read_metadata(&bytes).unwrap();
    assert_eq!(length % 8, 0);
    let file = SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(file.tensor("grid.features").unwrap().shape(), [6, 4]);
    assert_eq!(file.tensor("occupancy.bits").unwrap().data(), [0, 1, 128, 254, 255]);
}

#[test]
fn a_summary_needs_no_elements() {
    let (_folder, path) = written(&Checkpoint::new(header(), tensors()));
    let summary = Checkpoint::read_summary(&path).unwrap();
    assert_eq!(summary.header.step, 1234);
    assert_eq!(summary.bytes, std::fs::metadata(&path).unwrap().len());
    let bits = summary.tensors.iter().find(|tensor| tensor.name == "occupancy.bits").unwrap();
    assert_eq!((bits.dtype.as_str(), bits.shape.as_slice()), ("U8", &[5][..]));
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let (_folder, path) = written(&Checkpoint::new(header(), tensors()));
    let bytes = std::fs::read(path).unwrap();
    for end in 0..bytes.len() {
        let error = refusal(&bytes[..end]);
        assert!(error.starts_with("truncated: "), "cut at {end} of {}: {error}", bytes.len());
    }
    let longer = refusal(&[bytes.as_slice(), b"x"].concat());
    assert!(longer.starts_with("damaged: "), "{longer}");
}

#[test]
fn files_of_another_kind_are_refused() {
    assert!(refusal(b"\x89PNG\r\n\x1a\n and so on").starts_with("not a safetensors file"));
    let not_json = [&8u64.to_le_bytes()[..], b"not json"].concat();
    assert!(refusal(&not_json).contains("its header does not parse"));
    let foreign = [&2u64.to_le_bytes()[..], b"{}"].concat();
    assert!(refusal(&foreign).contains("no gridfield checkpoint"));
    let folder = tempfile::tempdir().unwrap();
    assert!(refusal_of(&folder.path().join("none.safetensors")).contains("no such checkpoint"));
    assert!(refusal_of(folder.path()).contains("folder"));
}

#[test]
fn origins_of_coordinates_come_back_bit_for_bit_and_are_0_where_none_is_stored() {
    let file_header = |bytes: &[u8]| {
        let (_, metadata) = SafeTensors::read_metadata(bytes).unwrap();
        serde_json::from_str::<Value>(&metadata.metadata().as_ref().unwrap()["gridfield"]).unwrap()
    };
    let (_folder, path) = written(&Checkpoint::new(header(), tensors()));
    assert_eq!(file_header(&std::fs::read(&path).unwrap())["unit_cube"].as_object().unwrap().len(), 2);
    assert_eq!(Checkpoint::read(&path).unwrap().header.unit_cube.origin, [0.0; 3]);
    let mut far = header();
    far.unit_cube.origin = [441547.502, -5121946.513, 1.0 / 3.0];
    let (_folder, path) = written(&Checkpoint::new(far.clone(), tensors()));
    assert_eq!(Checkpoint::read(&path).unwrap().header, far);
}

#[test]
fn headers_that_are_not_ours_are_refused() {
    type Edit = fn(&mut Value);
    let cases: [(Edit, &str); 11] = [
        (|own| own["unit_cube"]["origin"] = json!([0.0, 0.0]), "the checkpoint's header is incomplete"),
        (|own| own["unit_cube"]["scale"] = json!(1e300), "`unit_cube.scale` is inf in the checkpoint's header"),
        (|own| own["unit_cube"]["offset"][1] = json!(-1e300), "`unit_cube.offset` is [0.5, -inf, "),
        (|own| own["format"] = json!("other"), "has no format `gridfield-checkpoint`"),
        (|own| *own = json!(3), "has no format `gridfield-checkpoint`"),
        (|own| own["version"] = json!(2), "format version 2, but this gridfield reads version 1"),
        (|own| own["config"]["model"]["name"] = json!("tree"), "model.name is \"tree\", but must be one of `hash`"),
        (|own| own["config"]["train"]["max_step"] = json!(3), "the nearest one is `train.max_steps`"),
        (|own| own["config"]["model"]["sh_degree"] = json!(9), "model.sh_degree is 9"),
        (|own| own["unit_cube"]["scale"] = json!(null), "the checkpoint's header is incomplete"),
        (|own| own["step"] = json!("many"), "the checkpoint's header is incomplete"),
    ];
    for (edit, says) in cases {
        let error = refusal(&with_header(edit));
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn configs_of_an_older_gridfield_get_the_new_keys_defaults() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("old.safetensors");
    let older = with_header(|own| {
        own["config"]["train"].as_object_mut().unwrap().remove("ema_decay");
        own["another_field"] = json!("of a later one");
    });
    std::fs::write(&path, older).unwrap();
    assert_eq!(Checkpoint::read(&path).unwrap().header, header());
}

#[test]
fn nan_and_infinity_are_refused_by_name() {
    let (_folder, path) = written(&Checkpoint::new(header(), tensors()));
    let good = std::fs::read(&path).unwrap();
    let features_start = good.len() - 24 * 4 - 2 * 4 - 5;
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut bytes = good.clone();
        let at = features_start + 3 * 4;
        assert_eq!(bytes[at..at + 4], (3f32.sin() * 1e-3).to_le_bytes(), "the test edits the third feature");
        bytes[at..at + 4].copy_from_slice(&bad.to_le_bytes());
        let error = refusal(&bytes);
        assert!(error.starts_with(&format!("tensor `grid.features` holds {bad} at element 3")), "{error}");
    }
}

#[test]
fn nan_is_not_written_over_a_good_checkpoint() {
    let (folder, path) = written(&Checkpoint::new(header(), tensors()));
    let good = std::fs::read(&path).unwrap();
    let mut bad = tensors();
    bad[1] = Tensor::new("grid.features", &[2], vec![0.0, f32::NAN]);
    let error = Checkpoint::new(header(), bad).write(&path).unwrap_err().to_string();
    assert!(error.contains("tensor `grid.features` holds NaN at element 1; nothing was written"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), good);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn tensors_of_another_model_are_refused() {
    let (_folder, path) = written(&Checkpoint::new(header(), tensors()));
    let checkpoint = Checkpoint::read(&path).unwrap();
    let file = path.display();
    for (error, says) in [
        (
            checkpoint.get::<f32>("grid.features", &[4, 6]),
            "tensor `grid.features` has shape [6, 4], but its config needs [4, 6]; the checkpoint is of another model",
        ),
        (
            checkpoint.get::<f32>("grid.nodes", &[1]),
            "tensor `grid.nodes` is missing; the checkpoint is incomplete or of another model",
        ),
        (checkpoint.get::<f32>("adam.steps", &[2, 1]), "tensor `adam.steps` holds U32 values, but F32 are expected"),
    ] {
        assert_eq!(error.unwrap_err().to_string(), format!("{file}: {says}"));
    }
    let state = checkpoint.trainer_state::<u32>("draws").unwrap_err().to_string();
    assert!(state.contains("the trainer's `draws` is missing"), "{state}");
}

#[test]
fn element_types_we_do_not_write_are_refused() {
    let (_folder, path) = written(&Checkpoint::new(header(), tensors()));
    let bytes = std::fs::read(path).unwrap();
    let at = bytes.windows(5).position(|window| window == br#""U32""#).unwrap();
    let mut other = bytes;
    other[at..at + 5].copy_from_slice(br#""I32""#);
    assert_eq!(refusal(&other), "tensor `adam.steps` holds I32 values, but F32, U32 and U8 are read");
}
