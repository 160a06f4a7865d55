import keras_lottery as kl


def tickets(make_model, folder):
    for name, sparsity in (("one", 0.5), ("other", 0.75)):
        model = make_model()
        lottery = kl.Lottery(model)
        lottery.save_rewind_point()
        lottery.prune(sparsity)
        kl.Ticket.of(lottery).save(folder / f"{name}.ticket")
    return folder / "one.ticket", folder / "other.ticket"


def test_two_tickets(run, make_model, tmp_path):
    one, other = tickets(make_model, tmp_path)
    code, out, _ = run("compare", one, other)
    assert code == 0
    assert out.strip() == str(kl.Ticket.load(one).compare(kl.Ticket.load(other)))
    assert out.splitlines()[-1].split()[:5] == ["overall", "80", "40", "20", "20"]


def test_what_is_no_ticket_is_named(run, make_model, tmp_path):
    one, _ = tickets(make_model, tmp_path)
    (tmp_path / "text").write_text("no ticket")
    code, _, _ = run("compare", one, tmp_path / "text")
    assert code.startswith(f"keras-lottery compare: {tmp_path / 'text'}: ")
    assert "\n" not in code
