"""Training settings: output folder, length, seed, device, precision, periods."""

import torch

train = dict(
    # Folder for checkpoints, metrics and results.
    output_dir="output/langdg",
    # Checkpoint to start from (or to evaluate); "" starts from CLIP's weights.
    init_checkpoint="",
    # Training iterations; the learning rate's decay ends with the last one.
    max_iter=40_000,
    # Seed for weights, data order and augmentation; a negative value draws one.
    seed=1,
    # Device of the model; `--num-gpus 0` sets it to "cpu".
    device="cuda" if torch.cuda.is_available() else "cpu",
    # "channels_last" is much faster for convolutions on CPUs and with mixed precision;
    # "contiguous_format" is torch's default.
    memory_format="channels_last",
    # Precision of convolutions and matrix products: "float32", "bfloat16", or on GPUs "float16"
    # (with loss scaling). Weights, statistics and losses stay in float32.
    precision="float32",
    # Gradient accumulation: number of batches whose gradients are averaged.
    accumulate=1,
    # Let cuDNN choose the fastest convolutions; all training crops have the same size. Disabled
    # for deterministic training, because the choice differs from run to run.
    cudnn_benchmark=True,
    # Bit-exact reproducibility on one machine; uses only deterministic kernels, some slower.
    deterministic=False,
    # Options of torch's DistributedDataParallel. Frozen layers require no gradients, so no
    # parameter is unused.
    ddp=dict(broadcast_buffers=False, find_unused_parameters=False, fp16_compression=False),
    # Iterations between checkpoints, and the number of checkpoints to keep.
    checkpointer=dict(period=2_000, max_to_keep=5),
    # Iterations between evaluations; the model is always evaluated after the last iteration.
    eval_period=10_000,
    # Iterations between evaluations on the source's own validation set (`evaluation.source`), which
    # select the weights kept as model_best.pth; 750 in the official code, 0 for none. Targets
    # never influence the selection.
    best_period=0,
    # Iterations between entries in the log, metrics.json and TensorBoard.
    log_period=20,
    # Additional writers, such as [L(WandbWriter)(project="langdg")] from langdg_d2.engine, and
    # your own hooks, such as [L(MyHook)(...)].
    writers=[],
    hooks=[],
)
