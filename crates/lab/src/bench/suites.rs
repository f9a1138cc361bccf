//! Named sets of convolutions: the distinct ones of well-known networks, and what activations and pools cost.

use reluctor::ops::activation::ACTIVATIONS;

/// A named set of subjects, each a [`ConvSpec`](super::ConvSpec).
pub struct Suite {
    /// Its name.
    pub name: &'static str,
    /// What it is, in a line.
    pub summary: &'static str,
    specs: Specs,
}

enum Specs {
    Listed(&'static [&'static str]),
    /// One convolution, with each activation.
    Activations(&'static str),
}

impl Suite {
    /// Its subjects.
    pub fn specs(&self) -> Vec<String> {
        match self.specs {
            Specs::Listed(specs) => specs.iter().map(|spec| spec.to_string()).collect(),
            Specs::Activations(conv) => {
                let named = ACTIVATIONS.iter().map(|activation| activation.name()).filter(|name| *name != "identity");
                named.map(|name| format!("{conv},act={name}")).collect()
            }
        }
    }
}

/// The suite of this name.
pub fn suite(name: &str) -> Option<&'static Suite> {
    SUITES.iter().find(|suite| suite.name == name)
}

/// All suites. Sizes are those of 224x224 images, batch 1, as the networks' papers give them.
pub static SUITES: [Suite; 6] = [
    Suite {
        name: "resnet50",
        summary: "the distinct convolutions of ResNet-50 (He et al., 2015), with batch normalization folded",
        specs: Specs::Listed(&[
            "1x3x224x224,64x7x7,s2,p3,act=relu,pool=max3s2p1",
            "1x64x56x56,64x1x1,act=relu",
            "1x64x56x56,64x3x3,p1,act=relu",
            "1x64x56x56,256x1x1,act=relu,residual",
            "1x256x56x56,64x1x1,act=relu",
            "1x256x56x56,128x1x1,act=relu",
            "1x128x56x56,128x3x3,s2,p1,act=relu",
            "1x128x28x28,512x1x1,act=relu,residual",
            "1x512x28x28,128x1x1,act=relu",
            "1x128x28x28,128x3x3,p1,act=relu",
            "1x256x28x28,256x3x3,s2,p1,act=relu",
            "1x256x14x14,1024x1x1,act=relu,residual",
            "1x1024x14x14,256x1x1,act=relu",
            "1x256x14x14,256x3x3,p1,act=relu",
            "1x512x14x14,512x3x3,s2,p1,act=relu",
            "1x512x7x7,2048x1x1,act=relu,residual",
            "1x2048x7x7,512x1x1,act=relu",
            "1x512x7x7,512x3x3,p1,act=relu",
        ]),
    },
    Suite {
        name: "mobilenet_v2",
        summary: "the distinct convolutions of MobileNetV2 (Sandler et al., 2018)",
        specs: Specs::Listed(&[
            "1x3x224x224,32x3x3,s2,p1,act=clip",
            "1x32x112x112,32x3x3,p1,g32,act=clip",
            "1x32x112x112,16x1x1",
            "1x16x112x112,96x1x1,act=clip",
            "1x96x112x112,96x3x3,s2,p1,g96,act=clip",
            "1x96x56x56,24x1x1",
            "1x24x56x56,144x1x1,act=clip",
            "1x144x56x56,144x3x3,p1,g144,act=clip",
            "1x144x56x56,24x1x1,residual",
            "1x144x56x56,144x3x3,s2,p1,g144,act=clip",
            "1x192x28x28,192x3x3,p1,g192,act=clip",
            "1x192x28x28,32x1x1,residual",
            "1x64x14x14,384x1x1,act=clip",
            "1x384x14x14,384x3x3,p1,g384,act=clip",
            "1x384x14x14,96x1x1",
            "1x576x14x14,96x1x1,residual",
            "1x160x7x7,960x1x1,act=clip",
            "1x960x7x7,960x3x3,p1,g960,act=clip",
            "1x960x7x7,320x1x1",
            "1x320x7x7,1280x1x1,act=clip",
        ]),
    },
    Suite {
        name: "vgg16",
        summary: "the convolutions of VGG-16 (Simonyan and Zisserman, 2014), with the pools that follow them",
        specs: Specs::Listed(&[
            "1x3x224x224,64x3x3,p1,act=relu",
            "1x64x224x224,64x3x3,p1,act=relu,pool=max2s2",
            "1x64x112x112,128x3x3,p1,act=relu",
            "1x128x112x112,128x3x3,p1,act=relu,pool=max2s2",
            "1x128x56x56,256x3x3,p1,act=relu",
            "1x256x56x56,256x3x3,p1,act=relu,pool=max2s2",
            "1x256x28x28,512x3x3,p1,act=relu",
            "1x512x28x28,512x3x3,p1,act=relu,pool=max2s2",
            "1x512x14x14,512x3x3,p1,act=relu,pool=max2s2",
        ]),
    },
    Suite {
        name: "squeezenet",
        summary: "the distinct convolutions of SqueezeNet 1.1 (Iandola et al., 2016)",
        specs: Specs::Listed(&[
            "1x3x224x224,64x3x3,s2,act=relu,pool=max3s2",
            "1x64x55x55,16x1x1,act=relu",
            "1x16x55x55,64x1x1,act=relu",
            "1x16x55x55,64x3x3,p1,act=relu",
            "1x128x27x27,32x1x1,act=relu",
            "1x32x27x27,128x3x3,p1,act=relu",
            "1x256x13x13,48x1x1,act=relu",
            "1x48x13x13,192x3x3,p1,act=relu",
            "1x384x13x13,64x1x1,act=relu",
            "1x64x13x13,256x3x3,p1,act=relu",
            "1x512x13x13,1000x1x1,act=relu",
        ]),
    },
    Suite {
        name: "activations",
        summary: "one 3x3 convolution with each activation, fused and apart",
        specs: Specs::Activations("1x64x56x56,64x3x3,p1"),
    },
    Suite {
        name: "pools",
        summary: "convolution, ReLU and max pool: fused against three steps",
        specs: Specs::Listed(&[
            "1x64x112x112,64x3x3,p1,act=relu,pool=max2s2",
            "1x128x56x56,128x3x3,p1,act=relu,pool=max2s2",
            "1x256x28x28,256x3x3,p1,act=relu,pool=max2s2",
            "1x64x56x56,128x1x1,act=relu,pool=max2s2",
            "1x64x112x112,64x3x3,p1,act=relu,pool=max3s2p1",
            "1x128x56x56,128x3x3,p1,act=relu,pool=max3s2p1",
            "1x3x224x224,64x7x7,s2,p3,act=relu,pool=max3s2p1",
        ]),
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::ConvSpec;
    use std::collections::BTreeSet;

    #[test]
    fn every_subject_of_every_suite_is_a_network_of_its_own() {
        for suite in &SUITES {
            let specs = suite.specs();
            assert_eq!(specs.iter().collect::<BTreeSet<_>>().len(), specs.len(), "{}", suite.name);
            for spec in specs {
                spec.parse::<ConvSpec>()
                    .and_then(|spec| spec.graph())
                    .unwrap_or_else(|error| panic!("{spec}: {error}"));
            }
        }
        assert!(suite("activations").unwrap().specs().len() >= 15);
        assert!(suite("pools").is_some() && suite("cats").is_none());
    }
}
