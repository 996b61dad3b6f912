#pragma once

#include <functional>
#include <memory>

#include <refnorm/train/processes/group.h>

#include "tests/support/threads_as_processes.h"

namespace refnorm::testing {

/// body(group) in a thread for each member of a group: as processes of one machine, over the loopback device.
inline void as_group(int count, const std::function<void(const std::shared_ptr<train::Group>&)>& body,
                     std::chrono::seconds timeout = std::chrono::seconds(60)) {
  const auto meeting = train::MeetingPlace::open();
  side_by_side(count, [&](int rank) {
    train::Place place;
    place.rank = place.local_rank = rank;
    place.size = place.local_size = count;
    place.port = meeting->port();
    place.served = true;
    body(train::Group::join(place, timeout));
  });
}

}  // namespace refnorm::testing
