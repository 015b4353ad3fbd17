"""Settings of a training run: output folder, length, seed, device, precision, periods."""

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
    # Device of the model; `--num-gpus 0` makes it "cpu".
    device="cuda" if torch.cuda.is_available() else "cpu",
    # "channels_last" is much faster for convolutions on CPUs and with mixed precision;
    # "contiguous_format" is torch's default.
    memory_format="channels_last",
    # Of convolutions and matrix products: "float32", "bfloat16", or on GPUs "float16" (with scaled
    # losses). Weights, statistics and losses are float32.
    precision="float32",
    # Number of batches whose gradients are averaged in an iteration.
    accumulate=1,
    # Let cuDNN choose the fastest convolutions, as all training crops have one size. Off for
    # deterministic training, because the choice differs from run to run.
    cudnn_benchmark=True,
    # Bit-exact reproducibility on one machine; uses deterministic kernels only, some slower.
    deterministic=False,
    # For torch's DistributedDataParallel. Frozen layers hold no gradients, so none is missing.
    ddp=dict(broadcast_buffers=False, find_unused_parameters=False, fp16_compression=False),
    # Iterations between checkpoints, and how many of them are kept.
    checkpointer=dict(period=2_000, max_to_keep=5),
    # Iterations between evaluations; there is always one after the last iteration.
    eval_period=10_000,
    # Iterations between scores on the source's own validation set (`evaluation.source`), which
    # choose the weights kept as model_best.pth, 750 in the official code; 0 keeps the last only.
    # Targets never influence the choice.
    best_period=0,
    # Iterations between entries of the log, metrics.json and TensorBoard.
    log_period=20,
    # Further writers of these, such as [L(WandbWriter)(project="langdg")] of langdg_d2.engine, and
    # hooks of your own, as [L(MyHook)(...)].
    writers=[],
    hooks=[],
)
