//! The convolutions of the networks whose features are compared.

/// Network whose features are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backbone {
    /// AlexNet: `lpips.LPIPS(net="alex")`.
    Alex,
    /// VGG16: `lpips.LPIPS(net="vgg")`.
    Vgg,
}

impl Backbone {
    /// Returns the name of the network, as in files and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Backbone::Alex => "alex",
            Backbone::Vgg => "vgg",
        }
    }

    /// Returns the layers up to the last one that is compared.
    pub(super) fn layers(self) -> &'static [Layer] {
        match self {
            Backbone::Alex => &ALEX,
            Backbone::Vgg => &VGG,
        }
    }

    /// Returns the side and stride of the pooling windows.
    pub(super) fn pooling(self) -> (usize, usize) {
        match self {
            Backbone::Alex => (3, 2),
            Backbone::Vgg => (2, 2),
        }
    }
}

/// A convolution followed by a ReLU.
pub(super) struct Layer {
    /// Index of the layer in torchvision's `features`.
    pub number: usize,
    pub n_out: usize,
    pub n_in: usize,
    pub side: usize,
    pub stride: usize,
    pub padding: usize,
    pub pooled_before: bool,
    /// Whether the layer's features are compared.
    pub compared: bool,
}

const fn layer(number: usize, n_out: usize, n_in: usize, side: usize, pooled_before: bool, compared: bool) -> Layer {
    Layer { number, n_out, n_in, side, stride: 1, padding: side / 2, pooled_before, compared }
}

const ALEX: [Layer; 5] = [
    Layer { number: 0, n_out: 64, n_in: 3, side: 11, stride: 4, padding: 2, pooled_before: false, compared: true },
    layer(3, 192, 64, 5, true, true),
    layer(6, 384, 192, 3, true, true),
    layer(8, 256, 384, 3, false, true),
    layer(10, 256, 256, 3, false, true),
];

const VGG: [Layer; 13] = [
    layer(0, 64, 3, 3, false, false),
    layer(2, 64, 64, 3, false, true),
    layer(5, 128, 64, 3, true, false),
    layer(7, 128, 128, 3, false, true),
    layer(10, 256, 128, 3, true, false),
    layer(12, 256, 256, 3, false, false),
    layer(14, 256, 256, 3, false, true),
    layer(17, 512, 256, 3, true, false),
    layer(19, 512, 512, 3, false, false),
    layer(21, 512, 512, 3, false, true),
    layer(24, 512, 512, 3, true, false),
    layer(26, 512, 512, 3, false, false),
    layer(28, 512, 512, 3, false, true),
];
