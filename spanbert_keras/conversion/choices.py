"""What may be chosen for a conversion, by name: light to import, so that `--help` names it at once."""

MODELS = (
    "auto",
    "encoder",
    "pretrainer",
    "question_answerer",
    "coreference_resolver",
    "text_classifier",
    "relation_extractor",
    "entity_recognizer",
)
FORMATS = ("keras", "preset", "hugging_face", "saved_model", "saved_model_strings", "onnx", "onnx_parts", "litert")
DTYPES = ("source", "float32", "float16", "bfloat16")
QUANTIZED = ("int8",)
