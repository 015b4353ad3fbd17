"""How a run is driven: where it goes, how long it takes, on what it runs."""

import torch

train = dict(
    # Folder of checkpoints, metrics and results.
    output_dir="output/langdg",
    # Checkpoint to start from (or to evaluate); "" starts from CLIP's weights.
    init_checkpoint="",
    # Training iterations; the learning rate's decay ends with the last.
    max_iter=40_000,
    # Seed of weights, data order and augmentation; negative draws one.
    seed=1,
    # Where the model runs; `--num-gpus 0` makes it "cpu".
    device="cuda" if torch.cuda.is_available() else "cpu",
    # "channels_last" is much faster for convolutions on CPUs and with mixed precision;
    # "contiguous_format" is torch's default.
    memory_format="channels_last",
    # Of convolutions and products: "float32", "bfloat16", or "float16" (with scaled losses) on
    # GPUs. Weights, statistics and losses are float32.
    precision="float32",
    # Batches whose mean gradient makes an iteration.
    accumulate=1,
    # Let cuDNN choose the fastest convolutions; all training crops have one size. Not where
    # computing is to be deterministic, for its choice differs from run to run.
    cudnn_benchmark=True,
    # Bit-exact reproducibility on one machine; uses deterministic kernels only, some slower.
    deterministic=False,
    # Of torch's DistributedDataParallel. Frozen layers hold no gradient, so none is missing.
    ddp=dict(broadcast_buffers=False, find_unused_parameters=False, fp16_compression=False),
    # Iterations between checkpoints, and how many of them are kept.
    checkpointer=dict(period=2_000, max_to_keep=5),
    # Iterations between evaluations; there is always one after the last iteration.
    eval_period=10_000,
    # Iterations between scores on the source's own validation set (`evaluation.source`), which
    # choose the weights kept as model_best.pth, 750 in the official code; 0 keeps the last alone.
    # A target never chooses.
    best_period=0,
    # Iterations between lines of the log, of metrics.json and of TensorBoard.
    log_period=20,
    # Further writers of these, and hooks of your own, as [L(MyHook)(...)].
    writers=[],
    hooks=[],
)
