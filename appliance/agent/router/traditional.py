"""Traditional characters as the simplified ones in which the router's words are written. Pure.

Only those of words that decide: what is said to be done, to be not done, and with what. One character is one character,
so that places stay.
"""

_TRADITIONAL = (
    "運執啟啓動觸發開關閉斷電機終結請別無須嚴應該會許準沒個這們為麼煩幫誰過經將給裝載設備狀態報"
    "錄記歷務顯檢視臺線離連儲復還刪銷毀創滅鎖釋級補傳導輸進後當時間點數萬億兩門閥燈車溫爐風熱壓"
    "擊錯對從現總體況樣處絕駁試嗎與並長單號調減階頭幾買賣聽說話寫讀"
)
_SIMPLIFIED = (
    "运执启启动触发开关闭断电机终结请别无须严应该会许准没个这们为么烦帮谁过经将给装载设备状态报"
    "录记历务显检视台线离连储复还删销毁创灭锁释级补传导输进后当时间点数万亿两门阀灯车温炉风热压"
    "击错对从现总体况样处绝驳试吗与并长单号调减阶头几买卖听说话写读"
)
_TABLE = str.maketrans(_TRADITIONAL, _SIMPLIFIED)


def simplified(text: str) -> str:
    """Of the same length."""
    return text if text.isascii() else text.translate(_TABLE)
