#include <cmath>
#include <utility>

#include <refnorm/base/error.h>
#include <refnorm/base/interrupt.h>
#include <refnorm/train/trainer.h>

namespace refnorm::train {
namespace {

Schedule make_schedule(const TrainSettings& settings, std::int64_t steps_per_epoch) {
  return {settings.schedule,      settings.lr,     settings.milestones, settings.gamma, settings.final_lr,
          settings.warmup_epochs, settings.epochs, steps_per_epoch};
}

}  // namespace

Trainer::Trainer(Task& task, TrainSettings settings, std::filesystem::path folder,
                 std::shared_ptr<Group> group, bool own_references)
    : task_(task),
      settings_(std::move(settings)),
      folder_(std::move(folder)),
      group_(std::move(group)),
      own_references_(own_references),
      plan_(task.plan()),
      step_(task.module(), settings_, group_, own_references),
      schedule_(make_schedule(settings_, plan_.steps_per_epoch())) {
  if (settings_.ema > 0) average_.emplace(task.module(), settings_.ema);
}

Outcome Trainer::run(bool resume, const Hooks& hooks) {
  const std::int64_t epoch_before = resume ? go_on() : 0;
  if (group_->leads()) log_.emplace(folder_ / "metrics.jsonl", state_.metrics_bytes);
  task_.module().train();
  clock_.enter(kOther);

  Outcome outcome;
  const std::int64_t total = plan_.steps(settings_.epochs);
  const std::int64_t first = state_.step;
  if (plan_.epoch(first) > epoch_before) finish_epoch();
  task_.begin(first, total);
  while (state_.step < total && !outcome.diverged && !outcome.interrupted) {
    double loss = 0;
    outcome.diverged = step(loss);
    if (outcome.diverged) {
      if (state_.since_line.samples > 0) write_step_line();
      break;
    }
    if (state_.step % settings_.log_every == 0) {
      outcome.diverged = hopeless();
      write_step_line();
      if (outcome.diverged) break;
    }
    if (plan_.ends_epoch(state_.step)) {
      clock_.enter(kOther);
      finish_epoch();
      if (hooks.after_epoch) hooks.after_epoch(state_);
    } else {
      clock_.enter(kOther);
      if (settings_.validate_every > 0 && state_.step % settings_.validate_every == 0) validate_between();
      if (state_.step % settings_.checkpoint_every == 0) save("last");
    }
    if (hooks.after_step) hooks.after_step(state_, loss);
    outcome.interrupted = (group_->size() > 1 ? stop_ : interrupted()) && state_.step < total;
  }
  clock_.enter(kOther);
  task_.end();
  if (outcome.interrupted) save("last");
  if (average_ && !outcome.interrupted) average_->swap();

  const double in_steps = seconds_in_steps();
  for (std::size_t phase = kData; phase < kOther && in_steps > 0; ++phase) {
    if (phase == kExchange && group_->size() == 1) continue;
    outcome.shares.emplace_back(kPhaseNames[phase], clock_.seconds(phase) / in_steps);
  }
  const auto images = static_cast<double>((plan_.batches_before(state_.step) - plan_.batches_before(first)) *
                                          settings_.batch_size);
  outcome.images_per_second = in_steps > 0 ? images / in_steps : 0;
  state_.seconds = seconds();
  state_.training_seconds = training_before_ + in_steps;
  outcome.state = state_;
  return outcome;
}

std::int64_t Trainer::go_on() {
  const std::filesystem::path last = folder_ / "last";
  const bool there = group_->broadcast(has_checkpoint(last) ? "there" : "").size() > 0;
  if (!there) return 0;
  if (!has_checkpoint(last))
    user_error("{}: process {} does not see it, expected a folder that all processes share", last.string(),
               group_->rank());
  state_ = load_checkpoint(last, task_.module(), step_.optimizer(), average(), group_->rank());
  seconds_before_ = state_.seconds;
  training_before_ = state_.training_seconds;
  data::StepPlan before{plan_.batches_per_epoch, state_.batches_a_step, state_.changes};
  if (state_.batches_a_step == 0) before.per_step = plan_.per_step;
  const std::int64_t epoch = before.epoch(state_.step);
  if (before.per_step != plan_.per_step) before.change(state_.step, plan_.per_step);
  if (before.changes.empty()) return epoch;
  plan_ = before;
  task_.go_on(plan_);
  return epoch;
}

std::optional<Divergence> Trainer::hopeless() const {
  const auto total = static_cast<double>(plan_.steps(settings_.epochs));
  const auto due = static_cast<std::int64_t>(std::ceil(settings_.give_up * total));
  // The first line at or after that point alone decides.
  const bool now = settings_.give_up > 0 && state_.step >= due && state_.step - settings_.log_every < due;
  if (!now || state_.since_line.mean_loss() < task_.guessing_loss()) return std::nullopt;
  return Divergence{state_.step, {}, "no better than guessing"};
}

std::optional<Divergence> Trainer::step(double& loss) {
  const TrainingStep::Done done =
      step_.run([&](bool first_of_step) { return task_.pass(first_of_step, clock_); },
                schedule_.at(plan_.as_if_unchanged(state_.step)), clock_);
  stop_ = done.stop;
  if (done.broken) return Divergence{state_.step + 1, *done.broken};
  clock_.enter(kRecord);
  loss = done.tally.mean_loss();
  for (metrics::Tally* tally : {&state_.since_line, &state_.epoch}) tally->add(done.tally);
  ++state_.step;
  if (average_) average_->update(state_.step);
  return std::nullopt;
}

bool Trainer::validate(Json& line) {
  const Averaged averaged(average());
  const double error = task_.validate(line);
  if (settings_.target > 0 && !state_.target && error <= settings_.target)
    state_.target = Reached{state_.step, training_before_ + seconds_in_steps()};
  if (state_.best && error >= state_.best->validation_error_pct) return false;
  state_.best = Best{plan_.epoch(state_.step), state_.step, error};
  return true;
}

void Trainer::validate_between() {
  if (!task_.validates()) return;
  Json line{{"kind", "validation"}, {"step", state_.step}, {"epoch", plan_.epoch(state_.step)}};
  const bool better = validate(line);
  line["time"] = {{"seconds", seconds()}, {"training_seconds", training_before_ + seconds_in_steps()}};
  write(line);
  if (better) save("best");
}

void Trainer::finish_epoch() {
  const std::int64_t epoch = plan_.epoch(state_.step);
  Json line{
      {"kind", "epoch"}, {"step", state_.step}, {"epoch", epoch}, {"train_loss", state_.epoch.mean_loss()}};
  task_.describe_epoch(state_.epoch, line);
  state_.last_epoch = std::exchange(state_.epoch, {});
  const bool better = task_.validates() && validate(line);
  line["time"] = {{"seconds", seconds()}};
  write(line);
  if (better) save("best");
  save("last");
}

void Trainer::write_step_line() {
  const metrics::Tally tally = std::exchange(state_.since_line, {});
  if (!log_) return;
  Json line{{"kind", "step"},
            {"step", state_.step},
            {"epoch", plan_.epoch(state_.step)},
            {"loss", tally.mean_loss()},
            {"lr", schedule_.at(plan_.as_if_unchanged(state_.step - 1))}};
  task_.describe_steps(tally, (state_.step - 1) / settings_.log_every * settings_.log_every, state_.step,
                       line);
  for (const auto& [layer, norm] : step_.gradient_norms()) line["gradient_norm"][layer] = norm;
  if (settings_.clip_norm > 0) line["gradient_clipped_to"] = step_.clipped_to();
  line["time"] = {{"seconds", seconds()}, {"training_seconds", training_before_ + seconds_in_steps()}};
  write(line);
}

void Trainer::write(const Json& line) {
  if (log_) log_->write(line);
}

void Trainer::save(const char* name) {
  std::vector<Safetensors> others;
  if (group_->size() > 1) {
    const auto own = own_references_ ? SharedBuffers::own_references(task_.module())
                                     : std::vector<std::pair<std::string, torch::Tensor>>();
    for (const std::string& bytes : group_->gather(to_safetensors(state_of_process(own))))
      others.push_back(parse_safetensors(bytes, "another process's state", Checksum::kRequired));
    others.erase(others.begin());
  }
  if (!group_->leads()) return;
  log_->sync();
  state_.metrics_bytes = log_->bytes();
  state_.seconds = seconds();
  state_.training_seconds = training_before_ + seconds_in_steps();
  state_.batches_a_step = plan_.per_step;
  state_.changes = plan_.changes;
  save_checkpoint(folder_ / name, task_.module(), step_.optimizer(), state_, average(), others);
}

double Trainer::seconds_in_steps() const {
  double sum = 0;
  for (std::size_t phase = kData; phase < kOther; ++phase) sum += clock_.seconds(phase);
  return sum;
}

double Trainer::seconds() const {
  return seconds_before_ + watch_.seconds();
}

}  // namespace refnorm::train
