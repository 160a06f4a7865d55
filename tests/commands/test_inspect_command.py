import json


def test_a_sound_file(run, folder):
    code, out, _ = run("inspect", folder / "dense.tflite")
    assert code == 0
    assert "stored and computed densely" in out


def test_damaged_files_do_not_keep_others_from_being_reported(run, folder):
    (folder / "damaged.tflite").write_bytes((folder / "dense.tflite").read_bytes()[:1000])
    files = (folder / "damaged.tflite", folder / "dense.tflite")
    code, out, err = run("inspect", "--format=json", *files)
    assert code == 1
    assert json.loads(out)["inspection"]["defects"] == []
    assert err.startswith("keras-lottery inspect: ")
    assert "damaged.tflite: Damaged" in err


def test_unknown_formats_are_refused(run, folder):
    code, _, err = run("inspect", "--format=xml", folder / "dense.tflite")
    assert code == 2
    assert "'xml' (choose from" in err
