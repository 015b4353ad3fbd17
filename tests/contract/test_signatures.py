"""What callables call their parameters, on whichever Detectron2 is installed."""

import inspect

import pytest
from detectron2 import checkpoint, config, data, engine, evaluation
from detectron2.data import detection_utils, samplers
from detectron2.data import transforms as T
from detectron2.engine import hooks
from detectron2.utils import comm, events, logger

TRAINER = "model data_loader optimizer gather_metric_period zero_grad_before_forward"
LAUNCH = "main_func num_gpus_per_machine num_machines machine_rank dist_url args timeout"
LOADER = "mapper sampler total_batch_size aspect_ratio_grouping num_workers collate_fn"
# In the order in which they can be given without their names.
PARAMETERS = {
    checkpoint.DetectionCheckpointer: "model save_dir save_to_disk",
    config.LazyConfig.load: "filename keys",
    config.LazyConfig.load_rel: "filename keys",
    config.LazyConfig.apply_overrides: "cfg overrides",
    config.instantiate: "cfg",
    data.build_batch_data_loader: "dataset sampler total_batch_size aspect_ratio_grouping "
    "num_workers collate_fn drop_last single_gpu_batch_size prefetch_factor persistent_workers "
    "pin_memory seed",
    data.build_detection_train_loader: f"dataset {LOADER}",
    data.build_detection_test_loader: "dataset mapper sampler batch_size num_workers collate_fn",
    data.get_detection_dataset_dicts: "names filter_empty min_keypoints proposal_files "
    "check_consistency",
    detection_utils.read_image: "file_name format",
    samplers.TrainingSampler: "size shuffle seed",
    T.RandomCrop: "crop_type crop_size",
    T.RandomFlip: "prob horizontal vertical",
    T.Resize: "shape interp",
    T.ResizeShortestEdge: "short_edge_length max_size sample_style interp",
    T.ResizeTransform: "h w new_h new_w interp",
    engine.SimpleTrainer: f"{TRAINER} async_write_metrics",
    engine.AMPTrainer: f"{TRAINER} grad_scaler precision log_grad_scaler async_write_metrics",
    engine.launch: LAUNCH,
    evaluation.SemSegEvaluator: "dataset_name distributed output_dir sem_seg_loading_fn "
    "num_classes ignore_label",
    evaluation.inference_on_dataset: "model data_loader evaluator callbacks",
    hooks.BestCheckpointer: "eval_period checkpointer val_metric mode file_prefix",
    hooks.EvalHook: "eval_period eval_function eval_after_train",
    hooks.LRScheduler: "optimizer scheduler",
    hooks.PeriodicWriter: "writers period",
    comm.gather: "data dst group",
    events.CommonMetricPrinter: "max_iter window_size",
    events.EventStorage.put_scalar: "self name value smoothing_hint cur_iter",
    logger.log_first_n: "lvl msg n name key",
    logger.setup_logger: "output distributed_rank color name abbrev_name enable_propagation "
    "configure_stdout",
}


@pytest.mark.parametrize(
    ("function", "names"), PARAMETERS.items(), ids=[f.__qualname__ for f in PARAMETERS]
)
def test_parameters_have_these_names_in_this_order(function, names):
    parameters = inspect.signature(function).parameters.values()
    variadic = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    found = {
        kind: [p.name for p in parameters if p.kind is kind] for kind in inspect._ParameterKind
    }
    named = {p.name for p in parameters if p.kind not in variadic}
    assert named == set(names.split())
    positional = found[inspect.Parameter.POSITIONAL_OR_KEYWORD]
    assert positional == [name for name in names.split() if name in positional]
