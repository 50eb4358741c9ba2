"""The official FlexTok at any size, assembled from its modules as the released models are.

Its repository lacks the config.json of the hub. The names and sizes here follow from the names of
the released tensors and from other people's copies of that file.
"""

import sys
import types
from functools import partial

import torch

from titokzip.tokenizers.flextok.config import FlexTokConfig

KEEP = "eval_keep_k"  # its entry for the number of tokens kept
DROP = "eval_dropout_mask"  # and for dropping the condition


def official(config: FlexTokConfig) -> torch.nn.Module:
    """Assemble the official modules as the released models do, at the sizes of `config`."""
    from diffusers.models import AutoencoderKL

    for name in ("torchvision", "torchvision.transforms", "torchvision.transforms.functional"):
        sys.modules.setdefault(name, types.ModuleType(name))  # imported there, not used here
    from flextok.flextok_wrapper import FlexTok
    from flextok.flow_matching.noise_modules import MinRFNoiseModule
    from flextok.flow_matching.pipelines import MinRFPipeline
    from flextok.model.layers.attention import FlexAttention
    from flextok.model.postprocessors.heads import LinearHead, ToPatchesLinearHead
    from flextok.model.postprocessors.seq_unpacking import SequenceUnpacker
    from flextok.model.preprocessors.flex_seq_packing import BlockWiseSequencePacker
    from flextok.model.preprocessors.linear import LinearLayer
    from flextok.model.preprocessors.nullcond import LearnedNullCond
    from flextok.model.preprocessors.patching import PatchEmbedder
    from flextok.model.preprocessors.registers import Registers1D
    from flextok.model.preprocessors.time_embedding import TimestepEmbedder
    from flextok.model.preprocessors.token_dropout import MaskedNestedDropout
    from flextok.model.trunks.transformers import FlexTransformer
    from flextok.model.utils.dict_ops import (
        PerSampleOp,
        channels_first_to_last,
        channels_last_to_first,
    )
    from flextok.model.utils.posembs import PositionalEmbeddingAdder
    from flextok.model.utils.wrappers import SequentialModuleDictWrapper
    from flextok.regularizers.quantize_fsq import FSQ
    from flextok.vae_wrapper import VAE_BASE_CFG, StableDiffusionVAE

    vae = config.autoencoder
    grid, patches = config.side // config.patch, [config.patch, config.patch]
    e, d, n = config.encoder.width, config.decoder.width, len(config.levels)

    def packer(side: str, **options):
        return BlockWiseSequencePacker(
            input_list_read_keys=[f"{side}_patches", f"{side}_registers"],
            packed_seq_write_key=f"{side}_seq",
            block_mask_write_key=f"{side}_mask",
            inner_packed_shapes_write_key=f"{side}_inner",
            outer_packed_shapes_write_key=f"{side}_outer",
            pad_to_multiple=128,
            compile_block_mask=False,
            return_materialized_mask=True,
            **options,
        )

    def unpacker(side: str):
        return SequenceUnpacker(
            f"{side}_seq",
            [f"{side}_patches", f"{side}_registers"],
            f"{side}_inner",
            f"{side}_outer",
        )

    def embedder(side: str, read: str, width: int):
        return {
            "patch_emb": PatchEmbedder(
                read,
                f"{side}_patches",
                f"{side}_n",
                patches,
                vae.channels,
                width,
                flatten_patches=False,
            ),
            "posemb": PositionalEmbeddingAdder(
                f"{side}_patches", f"{side}_patches", width, [grid, grid]
            ),
        }

    embed, embed_noise = embedder("enc", "vae_latents_bhwc", e), embedder("dec", "noised_bhwc", d)
    encoder = {
        "enc_channels_to_last": PerSampleOp(
            "vae_latents", "vae_latents_bhwc", per_sample_op=channels_first_to_last
        ),
        "enc_patch_emb": embed["patch_emb"],
        "enc_posemb_module": embed["posemb"],
        "enc_register_module": Registers1D(
            "enc_patches", "register_sizes", "enc_registers", e, config.length, config.length
        ),
        "enc_seq_packer": packer("enc", mask_mode="causal_last"),
        "enc_transformer": FlexTransformer(
            "enc_seq", "enc_seq", e, config.encoder.depth, block_mask_read_key="enc_mask"
        ),
        "enc_unpacker": unpacker("enc"),
        "enc_to_latents": LinearHead("enc_registers", "latents", e, n, use_mup_readout=False),
    }
    decoder = {
        "dec_from_latents": LinearLayer("quants", "dec_registers", n, d),
        "dec_registers_posemb_module": PositionalEmbeddingAdder(
            "dec_registers", "dec_registers", d, [config.length], "learnable_sum"
        ),
        "dec_nested_dropout": MaskedNestedDropout("dec_registers", d, KEEP),
        "dec_latent_dropout": LearnedNullCond("dec_registers", d, DROP),
        "dec_noise_channels_to_last": PerSampleOp(
            "vae_latents_noised", "noised_bhwc", per_sample_op=channels_first_to_last
        ),
        "dec_noise_patch_emb": embed_noise["patch_emb"],
        "dec_patches_posemb_module": embed_noise["posemb"],
        "dec_seq_packer": packer("dec", per_subseq_embs=True, emb_packing_fn_write_key="packing"),
        "dec_time_embedder": TimestepEmbedder(
            "timesteps", "dec_temb", d, max_timestep=config.max_timestep
        ),
        "dec_transformer": FlexTransformer(
            "dec_seq",
            "dec_seq",
            d,
            config.decoder.depth,
            block_mask_read_key="dec_mask",
            adaLN_emb_read_key="dec_temb",
            adaLN_packing_fn_read_key="packing",
            adaLN_expansion=2,
        ),
        "dec_unpacker": unpacker("dec"),
        "dec_to_patches": ToPatchesLinearHead(
            "dec_patches",
            "dec_out",
            d,
            vae.channels,
            patches,
            use_mup_readout=False,
            adaLN_emb_read_key="dec_temb",
        ),
        "dec_channels_to_first": PerSampleOp(
            "dec_out", "vae_latents_reconst", per_sample_op=channels_last_to_first
        ),
    }
    wrapper = StableDiffusionVAE(
        "rgb",
        "vae_latents_reconst",
        "vae_latents",
        "rgb_reconst",
        "kl",
        latent_channels=vae.channels,
        scaling_factor=config.scaling,
        sample_posterior=False,
    )
    if vae.widths != tuple(VAE_BASE_CFG["block_out_channels"]):
        shape = {"block_out_channels": vae.widths, "layers_per_block": vae.depth}
        shape |= {"latent_channels": vae.channels, "norm_num_groups": vae.groups}
        wrapper.vae = AutoencoderKL.from_config(VAE_BASE_CFG | shape)
    theirs = FlexTok(
        wrapper,
        SequentialModuleDictWrapper(encoder),
        SequentialModuleDictWrapper(decoder),
        FSQ("latents", "quants", "tokens", list(config.levels)),
        MinRFNoiseModule("vae_latents", "vae_latents_noised", "timesteps", "sigmas"),
        partial(
            MinRFPipeline,
            noise_read_key="noise",
            latents_read_key="quants",
            timesteps_read_key="timesteps",
            noised_images_read_key="vae_latents_noised",
            reconst_write_key="vae_latents_reconst",
            out_channels=vae.channels,
        ),
    )
    for module in theirs.modules():
        if isinstance(module, FlexAttention):
            module.use_flex_attention = False
    return theirs.eval()
