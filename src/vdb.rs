//! Writer for OpenVDB files, version 224 of the format: trees of 32³, 16³ and 8³ children per node, of which only those
//! with a value other than 0 are stored (Museth 2013; the layout is that of the library's `Archive`, `Grid` and `Tree`
//! classes).

use std::io::{self, Write};

/// Magic number at the start of a file.
const MAGIC: i64 = 0x5644_4220;
/// Version of the format, and the version of the library that introduced it.
const VERSIONS: [u32; 3] = [224, 6, 2];
/// Identifier of a file, which libraries print but do not compare.
const UUID: &str = "00000000-0000-4000-8000-000000000000";
/// How values are stored: those that are active, uncompressed.
const ACTIVE_VALUES: u32 = 2;
/// Code for nodes whose inactive values are all the background.
const BACKGROUND: u8 = 0;
/// Voxels along the sides of the nodes, from the root's children down to the leaves.
const SIDES: [usize; 3] = [4096, 128, 8];
const LEAF: usize = SIDES[2];

/// A dense grid to write.
pub struct Grid<'a> {
    /// Name of the grid in the file.
    pub name: &'a str,
    /// Numbers per voxel: 1 or 3.
    pub components: usize,
    /// `[x, y, z, components]`; a voxel is left out if all its numbers are 0.
    pub values: &'a [f32],
}

/// Placement of the voxels in space.
#[derive(Clone, Copy)]
pub struct Placement {
    /// Number of voxels along x, y and z.
    pub size: [usize; 3],
    /// Centre of the first voxel.
    pub first: [f64; 3],
    /// Distances between the centres of neighbours along x, y and z.
    pub step: [f64; 3],
}

/// Writes a file with grids of the same placement.
///
/// # Errors
/// Returns the errors of `file`.
///
/// # Panics
/// Panics if the numbers of a grid are not as many as its placement says, or if it has another number of components.
pub fn write(file: &mut dyn Write, placement: &Placement, grids: &[Grid]) -> io::Result<()> {
    let mut head = Vec::new();
    head.extend(MAGIC.to_le_bytes());
    VERSIONS.iter().for_each(|version| head.extend(version.to_le_bytes()));
    // The file has offsets.
    head.push(1);
    head.extend(UUID.as_bytes());
    // Number of properties of the file.
    head.extend(0u32.to_le_bytes());
    head.extend((grids.len() as u32).to_le_bytes());
    file.write_all(&head)?;
    let mut at = head.len() as u64;
    for grid in grids {
        let tree = Tree::new(placement.size, grid);
        let kind = if grid.components == 1 { "Tree_float_5_4_3" } else { "Tree_vec3s_5_4_3" };
        let mut descriptor = Vec::new();
        // Name, type, and name of a grid whose tree this one shares.
        [grid.name, kind, ""].iter().for_each(|text| descriptor.extend(string(text)));
        let mut before = properties(grid.name, placement);
        tree.topology(&mut before)?;
        let begin = at + descriptor.len() as u64 + 3 * size_of::<u64>() as u64;
        let values = begin + before.len() as u64;
        let end = values + tree.n_value_bytes();
        [begin, values, end].iter().for_each(|offset| descriptor.extend(offset.to_le_bytes()));
        file.write_all(&descriptor)?;
        file.write_all(&before)?;
        tree.values(file)?;
        at = end;
    }
    Ok(())
}

/// Encodes a string: its length, then its bytes.
fn string(text: &str) -> Vec<u8> {
    [&(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat()
}

/// Returns the properties of a grid and its map from voxels to space.
fn properties(name: &str, placement: &Placement) -> Vec<u8> {
    let mut bytes = ACTIVE_VALUES.to_le_bytes().to_vec();
    let properties = [("class", "fog volume"), ("name", name)];
    bytes.extend((properties.len() as u32).to_le_bytes());
    for (key, value) in properties {
        [key, "string", value].iter().for_each(|text| bytes.extend(string(text)));
    }
    bytes.extend(string("ScaleTranslateMap"));
    let Placement { first, step, .. } = *placement;
    // The scale is followed by the size of voxels, and by numbers that the library derives from it.
    let inverse = step.map(|x| 1.0 / x);
    let vectors = [first, step, step, inverse, inverse.map(|x| x * x), inverse.map(|x| 0.5 * x)];
    vectors.as_flattened().iter().for_each(|number| bytes.extend(number.to_le_bytes()));
    bytes
}

/// A grid as a tree.
struct Tree<'a> {
    size: [usize; 3],
    grid: &'a Grid<'a>,
    /// For each block of 8³ voxels, which of them are active.
    leaves: Vec<[u64; 8]>,
}

impl<'a> Tree<'a> {
    fn new(size: [usize; 3], grid: &'a Grid) -> Self {
        let [x, y, z] = size;
        assert!(grid.values.len() == x * y * z * grid.components && [1, 3].contains(&grid.components));
        let mut tree = Tree { size, grid, leaves: Vec::new() };
        let [columns, rows, layers] = tree.n_leaves();
        tree.leaves = vec![[0; 8]; columns * rows * layers];
        for (voxel, values) in grid.values.chunks(grid.components).enumerate() {
            if values.iter().any(|value| *value != 0.0) {
                let at = [voxel / (y * z), voxel / z % y, voxel % z];
                let leaf = tree.leaf(at);
                // Within a leaf, z is the fastest axis, and a row of y is a word.
                tree.leaves[leaf][at[0] % LEAF] |= 1 << (at[1] % LEAF * LEAF + at[2] % LEAF);
            }
        }
        tree
    }

    fn n_leaves(&self) -> [usize; 3] {
        self.size.map(|n| n.div_ceil(LEAF))
    }

    /// Returns the number of the leaf that has a voxel.
    fn leaf(&self, voxel: [usize; 3]) -> usize {
        let [_, rows, layers] = self.n_leaves();
        let [x, y, z] = voxel.map(|at| at / LEAF);
        (x * rows + y) * layers + z
    }

    /// Returns whether the node of side `side` at `origin` has active voxels.
    fn is_active(&self, origin: [usize; 3], side: usize) -> bool {
        let ends: [usize; 3] = std::array::from_fn(|k| self.size[k].min(origin[k] + side));
        let along = |k: usize| (origin[k]..ends[k]).step_by(LEAF);
        along(0).any(|x| along(1).any(|y| along(2).any(|z| self.leaves[self.leaf([x, y, z])] != [0; 8])))
    }

    /// Returns the children of side `side` with active voxels of a node of side `of`: their number in the node, in
    /// which z is the fastest axis, and their origin.
    fn children(&self, origin: [usize; 3], of: usize, side: usize) -> Vec<(usize, [usize; 3])> {
        let n = of / side;
        let child = |number: usize| {
            let at = [number / (n * n), number / n % n, number % n];
            (number, std::array::from_fn(|k| origin[k] + at[k] * side))
        };
        let is_active =
            |(_, at): &(usize, [usize; 3])| (0..3).all(|k| at[k] < self.size[k]) && self.is_active(*at, side);
        (0..n * n * n).map(child).filter(is_active).collect()
    }

    /// Returns the origins of the root's children, in the order of their coordinates.
    fn roots(&self) -> Vec<[usize; 3]> {
        let along = |k: usize| (0..self.size[k]).step_by(SIDES[0]);
        let all = along(0).flat_map(|x| along(1).flat_map(move |y| along(2).map(move |z| [x, y, z])));
        all.filter(|&origin| self.is_active(origin, SIDES[0])).collect()
    }

    /// Writes the topology: which nodes exist.
    fn topology(&self, file: &mut dyn Write) -> io::Result<()> {
        let roots = self.roots();
        // One buffer; the background; no tiles.
        file.write_all(&1u32.to_le_bytes())?;
        file.write_all(&vec![0; size_of::<f32>() * self.grid.components])?;
        file.write_all(&0u32.to_le_bytes())?;
        file.write_all(&(roots.len() as u32).to_le_bytes())?;
        for origin in roots {
            origin.iter().try_for_each(|at| file.write_all(&(*at as i32).to_le_bytes()))?;
            self.node(file, origin, 0)?;
        }
        Ok(())
    }

    /// Writes the mask of a node's children, then the children.
    fn node(&self, file: &mut dyn Write, origin: [usize; 3], level: usize) -> io::Result<()> {
        let (of, side) = (SIDES[level], SIDES[level + 1]);
        let children = self.children(origin, of, side);
        let mut mask = vec![0u8; (of / side).pow(3) / 8];
        children.iter().for_each(|(number, _)| mask[number / 8] |= 1 << (number % 8));
        file.write_all(&mask)?;
        // No child has a value in place of a node.
        mask.fill(0);
        file.write_all(&mask)?;
        file.write_all(&[BACKGROUND])?;
        for (_, origin) in children {
            match side {
                LEAF => self.write_mask(file, origin)?,
                _ => self.node(file, origin, level + 1)?,
            }
        }
        Ok(())
    }

    fn write_mask(&self, file: &mut dyn Write, leaf: [usize; 3]) -> io::Result<()> {
        self.leaves[self.leaf(leaf)].iter().try_for_each(|word| file.write_all(&word.to_le_bytes()))
    }

    /// Writes the active values, leaf by leaf in the order of [`Tree::topology`].
    fn values(&self, file: &mut dyn Write) -> io::Result<()> {
        for root in self.roots() {
            for (_, node) in self.children(root, SIDES[0], SIDES[1]) {
                for (_, leaf) in self.children(node, SIDES[1], SIDES[2]) {
                    self.write_mask(file, leaf)?;
                    file.write_all(&[BACKGROUND])?;
                    self.leaf_values(file, leaf)?;
                }
            }
        }
        Ok(())
    }

    fn leaf_values(&self, file: &mut dyn Write, leaf: [usize; 3]) -> io::Result<()> {
        let words = &self.leaves[self.leaf(leaf)];
        let n = self.grid.components;
        for (x, word) in words.iter().enumerate() {
            for bit in (0..64).filter(|bit| word >> bit & 1 == 1) {
                let voxel = [leaf[0] + x, leaf[1] + bit / LEAF, leaf[2] + bit % LEAF];
                let at = ((voxel[0] * self.size[1] + voxel[1]) * self.size[2] + voxel[2]) * n;
                self.grid.values[at..at + n].iter().try_for_each(|value| file.write_all(&value.to_le_bytes()))?;
            }
        }
        Ok(())
    }

    /// Returns the number of bytes that [`Tree::values`] writes.
    fn n_value_bytes(&self) -> u64 {
        let used = self.leaves.iter().filter(|leaf| **leaf != [0; 8]);
        let active = |leaf: &[u64; 8]| leaf.iter().map(|word| u64::from(word.count_ones())).sum::<u64>();
        used.map(|leaf| size_of::<[u64; 8]>() as u64 + 1 + active(leaf) * 4 * self.grid.components as u64).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads numbers one after another.
    struct Reader<'a> {
        bytes: &'a [u8],
        at: usize,
    }

    impl Reader<'_> {
        fn take<const N: usize>(&mut self) -> [u8; N] {
            self.at += N;
            self.bytes[self.at - N..self.at].try_into().unwrap()
        }

        fn number(&mut self) -> usize {
            u32::from_le_bytes(self.take()) as usize
        }

        fn float(&mut self) -> f32 {
            f32::from_le_bytes(self.take())
        }

        fn text(&mut self) -> String {
            let n = self.number();
            (0..n).map(|_| char::from(self.take::<1>()[0])).collect()
        }

        /// Reads a mask of `n` bits, and returns which are set.
        fn mask(&mut self, n: usize) -> Vec<usize> {
            let bytes: Vec<u8> = (0..n / 8).map(|_| self.take::<1>()[0]).collect();
            (0..n).filter(|bit| bytes[bit / 8] >> (bit % 8) & 1 == 1).collect()
        }
    }

    /// Returns the position of the child `number` of a node with 2^log2 children per axis, each `side` voxels wide.
    fn child(origin: [usize; 3], number: usize, log2: usize, side: usize) -> [usize; 3] {
        let at = [number >> (2 * log2), number >> log2, number].map(|at| at & ((1 << log2) - 1));
        [0, 1, 2].map(|k| origin[k] + at[k] * side)
    }

    /// Reads the next grid: its name, the positions of its leaves, and its active voxels with their values.
    #[allow(clippy::type_complexity)]
    fn read_grid(file: &mut Reader, components: usize) -> (String, Vec<[usize; 3]>, Vec<([usize; 3], Vec<f32>)>) {
        let (name, kind, _) = (file.text(), file.text(), file.text());
        assert_eq!(kind, if components == 1 { "Tree_float_5_4_3" } else { "Tree_vec3s_5_4_3" });
        let [begin, values, end] = [(); 3].map(|()| u64::from_le_bytes(file.take()) as usize);
        assert_eq!((file.at, file.number()), (begin, ACTIVE_VALUES as usize));
        for _ in 0..file.number() {
            (0..3).for_each(|_| drop(file.text()));
        }
        assert_eq!(file.text(), "ScaleTranslateMap");
        file.take::<144>();
        assert_eq!((file.number(), (0..components).map(|_| file.float()).sum::<f32>(), file.number()), (1, 0.0, 0));
        let mut leaves = Vec::new();
        for _ in 0..file.number() {
            let root = [(); 3].map(|()| file.number());
            let nodes = file.mask(1 << 15);
            assert!(file.mask(1 << 15).is_empty() && file.take() == [0]);
            for node in nodes {
                let node = child(root, node, 5, 128);
                let of_node = file.mask(1 << 12);
                assert!(file.mask(1 << 12).is_empty() && file.take() == [0]);
                for leaf in of_node {
                    leaves.push((child(node, leaf, 4, 8), file.mask(512)));
                }
            }
        }
        assert_eq!(file.at, values);
        let mut voxels = Vec::new();
        for (leaf, active) in &leaves {
            assert!(file.mask(512) == *active && file.take() == [0]);
            for &voxel in active {
                voxels.push((child(*leaf, voxel, 3, 1), (0..components).map(|_| file.float()).collect()));
            }
        }
        assert_eq!(file.at, end);
        (name, leaves.into_iter().map(|(leaf, _)| leaf).collect(), voxels)
    }

    #[test]
    fn what_is_not_zero_is_stored_where_it_is() {
        let size = [150, 20, 9];
        let n: usize = size.iter().product();
        // Nothing in the leaves of the middle, and something beyond the first 128 voxels.
        let number = |i: usize| {
            let x = i / 180;
            if i.is_multiple_of(5) && !(40..136).contains(&x) { i as f32 + 0.5 } else { 0.0 }
        };
        let density: Vec<f32> = (0..n).map(number).collect();
        let color: Vec<f32> = (0..n).flat_map(|i| [0.0, number(i), 2.0 * number(i)]).collect();
        let mut bytes = Vec::new();
        let placement = Placement { size, first: [0.5; 3], step: [1.0, 2.0, 3.0] };
        let grids = [
            Grid { name: "density", components: 1, values: &density },
            Grid { name: "color", components: 3, values: &color },
        ];
        write(&mut bytes, &placement, &grids).unwrap();
        let mut file = Reader { bytes: &bytes, at: 0 };
        assert_eq!(i64::from_le_bytes(file.take()), MAGIC);
        file.take::<{ 12 + 1 + 36 }>();
        assert_eq!((file.number(), file.number()), (0, 2));
        for (grid, components) in grids.iter().zip([1, 3]) {
            let (name, leaves, voxels) = read_grid(&mut file, components);
            assert_eq!(name, grid.name);
            assert!(leaves.iter().all(|leaf| !(40..136).contains(&leaf[0])) && leaves.contains(&[144, 16, 8]));
            assert_eq!(voxels.len(), density.iter().filter(|value| **value != 0.0).count());
            for ([x, y, z], values) in voxels {
                let at = ((x * 20 + y) * 9 + z) * components;
                assert_eq!(values[..], grid.values[at..at + components], "{x} {y} {z}");
            }
        }
        assert_eq!(file.at, bytes.len());
    }

    #[test]
    fn an_empty_grid_has_no_nodes() {
        let mut bytes = Vec::new();
        let placement = Placement { size: [3, 3, 3], first: [0.0; 3], step: [1.0; 3] };
        write(&mut bytes, &placement, &[Grid { name: "density", components: 1, values: &[0.0; 27] }]).unwrap();
        let mut file = Reader { bytes: &bytes, at: 8 + 12 + 1 + 36 + 8 };
        let (_, leaves, voxels) = read_grid(&mut file, 1);
        assert!(leaves.is_empty() && voxels.is_empty() && file.at == bytes.len());
    }
}
