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

Trainer::Trainer(Task& task, TrainSettings settings, std::filesystem::path folder)
    : task_(task),
      settings_(std::move(settings)),
      folder_(std::move(folder)),
      step_(task.module(), settings_),
      schedule_(make_schedule(settings_, task.plan().steps_per_epoch())) {
  if (settings_.ema > 0) average_.emplace(task.module(), settings_.ema);
}

Outcome Trainer::run(bool resume, const Hooks& hooks) {
  if (resume && has_checkpoint(folder_ / "last")) {
    state_ = load_checkpoint(folder_ / "last", task_.module(), step_.optimizer(), average());
    seconds_before_ = state_.seconds;
    training_before_ = state_.training_seconds;
  }
  log_.emplace(folder_ / "metrics.jsonl", state_.metrics_bytes);
  task_.module().train();
  clock_.enter(kOther);

  Outcome outcome;
  const std::int64_t total = settings_.epochs * schedule_.steps_per_epoch;
  const std::int64_t first = state_.step;
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
    if (state_.step % schedule_.steps_per_epoch == 0) {
      clock_.enter(kOther);
      finish_epoch();
      if (hooks.after_epoch) hooks.after_epoch(state_);
    } else {
      clock_.enter(kOther);
      if (settings_.validate_every > 0 && state_.step % settings_.validate_every == 0) validate_between();
      if (state_.step % settings_.checkpoint_every == 0) save("last");
    }
    if (hooks.after_step) hooks.after_step(state_, loss);
    outcome.interrupted = interrupted() && state_.step < total;
  }
  clock_.enter(kOther);
  task_.end();
  if (outcome.interrupted) save("last");
  if (average_ && !outcome.interrupted) average_->swap();

  const double in_steps = seconds_in_steps();
  for (std::size_t phase = kData; phase < kOther && in_steps > 0; ++phase) {
    outcome.shares.emplace_back(kPhaseNames[phase], clock_.seconds(phase) / in_steps);
  }
  const auto images =
      static_cast<double>((state_.step - first) * settings_.batch_size * task_.plan().per_step);
  outcome.images_per_second = in_steps > 0 ? images / in_steps : 0;
  state_.seconds = seconds();
  state_.training_seconds = training_before_ + in_steps;
  outcome.state = state_;
  return outcome;
}

std::optional<Divergence> Trainer::hopeless() const {
  const auto total = static_cast<double>(settings_.epochs * schedule_.steps_per_epoch);
  const auto due = static_cast<std::int64_t>(std::ceil(settings_.give_up * total));
  // The first line at or after that point alone decides.
  const bool now = settings_.give_up > 0 && state_.step >= due && state_.step - settings_.log_every < due;
  if (!now || state_.since_line.mean_loss() < task_.guessing_loss()) return std::nullopt;
  return Divergence{state_.step, kGaveUp};
}

std::optional<Divergence> Trainer::step(double& loss) {
  const TrainingStep::Done done =
      step_.run([&](bool first_of_step) { return task_.pass(first_of_step, clock_); },
                schedule_.at(state_.step), clock_);
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
  state_.best = Best{state_.step / schedule_.steps_per_epoch, state_.step, error};
  return true;
}

void Trainer::validate_between() {
  if (!task_.validates()) return;
  Json line{
      {"kind", "validation"}, {"step", state_.step}, {"epoch", state_.step / schedule_.steps_per_epoch}};
  const bool better = validate(line);
  line["time"] = {{"seconds", seconds()}, {"training_seconds", training_before_ + seconds_in_steps()}};
  log_->write(line);
  if (better) save("best");
}

void Trainer::finish_epoch() {
  const std::int64_t epoch = state_.step / schedule_.steps_per_epoch;
  Json line{
      {"kind", "epoch"}, {"step", state_.step}, {"epoch", epoch}, {"train_loss", state_.epoch.mean_loss()}};
  task_.describe_epoch(state_.epoch, line);
  state_.last_epoch = std::exchange(state_.epoch, {});
  const bool better = task_.validates() && validate(line);
  line["time"] = {{"seconds", seconds()}};
  log_->write(line);
  if (better) save("best");
  save("last");
}

void Trainer::write_step_line() {
  const metrics::Tally tally = std::exchange(state_.since_line, {});
  Json line{{"kind", "step"},
            {"step", state_.step},
            {"epoch", state_.step / schedule_.steps_per_epoch},
            {"loss", tally.mean_loss()},
            {"lr", schedule_.at(state_.step - 1)}};
  task_.describe_steps(tally, (state_.step - 1) / settings_.log_every * settings_.log_every, state_.step,
                       line);
  for (const auto& [layer, norm] : step_.gradient_norms()) line["gradient_norm"][layer] = norm;
  if (settings_.clip_norm > 0) line["gradient_clipped_to"] = step_.clipped_to();
  line["time"] = {{"seconds", seconds()}, {"training_seconds", training_before_ + seconds_in_steps()}};
  log_->write(line);
}

void Trainer::save(const char* name) {
  log_->sync();
  state_.metrics_bytes = log_->bytes();
  state_.seconds = seconds();
  state_.training_seconds = training_before_ + seconds_in_steps();
  save_checkpoint(folder_ / name, task_.module(), step_.optimizer(), state_, average());
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
